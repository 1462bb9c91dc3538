"""Flow `synthesize`: sound and a timeline of emotions to a video of one identity.

What is heard and every piece of video that is whole lie in a folder beside the video until it is
done (`.NAME.parts`): a run that was killed goes on there, and ends with the same frames.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from jaxtyping import Float32, UInt8
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import reuse
from flows.config import SynthesizeConfig
from flows.errors import FlowError
from flows.orchestra import call
from flows.progress import step
from flows.synthesis.driving import Driving
from flows.synthesis.finishing import Frames, video_of
from flows.synthesis.hearing import heard
from flows.synthesis.look import OneShot
from flows.synthesis.one_shot import MODEL, Shot, asked_of, drawn, enlarged, opened_shot
from flows.synthesis.preflight import Request, checked
from flows.synthesis.provenance import TOOL, disagreements, file_hash, key_of, provenance
from flows.synthesis.recordings import InStore, Recordings, recordings_of
from flows.synthesis.staging import frame_size
from models import speak
from pipeline.hyperplanes import POOLED
from pipeline.profiles import Profile
from pipeline.transcript import Transcript, Word
from render.backgrounds import ORIGINAL, TRANSPARENT, Background, open_background
from render.marks import VisibleMark
from store import Snapshot

_SPEECH = "speech.npz"
HEARD = "heard"
"""What the video diffusion model hears of each frame, among the arrays; not part of the result."""


@dataclass(frozen=True)
class Spoken:
    """What the networks made of the sound."""

    arrays: dict[str, np.ndarray]
    """`alpha` [V, k] as the head reads it; `alpha_tilde`, `margin`, `shift`, `tags` beside it."""
    facts: dict[str, Any]
    seconds: dict[str, float]

    @property
    def alpha(self) -> Float32[np.ndarray, "frames k"]:
        """Steered coefficients, whitened."""
        return self.arrays["alpha"]


@task(name="hear and speak", cache_policy=NO_CACHE, persist_result=False)
def expression_of(
    config: SynthesizeConfig, profile: Profile, request: Request, folder: Path
) -> Spoken:
    """Sound to steered expression coefficients; found again in `folder` after a kill."""
    names = (config.names.audio, config.names.emotion, config.names.text)
    key = {
        "sound": key_of(request.samples, config.words, config.text),
        "encoders": {name: profile.identity_of(name) for name in names},
        "network": file_hash(request.checkpoint.path),
        "emotion": request.emotion,
        "identity": config.identity,
        "kept": [HEARD] if config.one_shot is not None else [],
    }
    reuse.start(folder, key)
    kept = folder / _SPEECH
    if kept.is_file():
        with np.load(kept) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(str(arrays.pop("facts")))
        return Spoken(arrays, facts, {"hear": 0.0, "speak": 0.0})
    began = time.monotonic()
    with step("hear", total=request.frames, unit="frames") as bar:
        features, facts = heard(
            profile,
            request.samples,
            config.names,
            known_words(config),
            progress=lambda done, _: bar.update(done),
        )
    middle = time.monotonic()
    with step("predict expression"):
        who = config.identity or POOLED  # a stranger in a picture: in the units of all people
        speech = speak(request.checkpoint, features, request.emotion, who)
    arrays = {
        "alpha": speech.alpha,
        "alpha_tilde": speech.prediction.alpha_tilde,
        "margin": speech.steered.margin,
        "shift": speech.steered.shift,
        "tags": np.array(speech.steered.tags, np.str_),
    }
    if config.one_shot is not None:
        arrays[HEARD] = features.audio.astype(np.float32)
    if speech.remark:
        facts = {**facts, "remark": speech.remark}
    draft = folder / f".draft-{_SPEECH}"
    np.savez(draft, facts=np.array(json.dumps(facts, default=str)), **arrays)
    draft.replace(kept)
    seconds = {"hear": middle - began, "speak": time.monotonic() - middle}
    return Spoken(arrays, facts, seconds)


def known_words(config: SynthesizeConfig) -> Transcript | None:
    """What is said, where the caller knows.

    Raises:
        InputError: a word that ends before it starts.
    """
    if config.words:
        words = tuple(Word(*word) for word in config.words)
        return Transcript(" ".join(word.text for word in words), words, source="sidecar")
    return Transcript(config.text, source="known") if config.text else None


@task(name="render video", cache_policy=NO_CACHE, persist_result=False)
def render_video(
    config: SynthesizeConfig,
    request: Request,
    spoken: Spoken,
    course: Driving,
    background: Background | None,
    recordings: Recordings,
    folder: Path,
) -> tuple[Path, dict[str, Any]]:
    """Head over torso over background, frame by frame; the finished, marked file."""
    behind = Path(config.look.background)
    key = {
        "version": TOOL,
        "frames": key_of(spoken.alpha, course.cameras, course.body_of, course.rows),
        "head": file_hash(config.head / "head.safetensors"),
        "look": config.look.model_dump(),
        "background": file_hash(behind) if behind.is_file() else None,
        "render_size": config.render_size,
        **recordings.key(course),
    }
    reuse.start(folder, key)
    stage = recordings.stage(spoken.alpha, course, background)
    origin = provenance(
        {
            "head": config.head / "head.safetensors",
            "network": request.checkpoint.path,
        },
        recordings.origin,
    )
    frames = Frames(stage.scene.frames, stage.scene.size, len(spoken.alpha))
    joined, made = video_of(config, request.coding, frames, origin, folder)
    return joined, {
        "background": stage.background,
        **made,
        **course.record(stage.seen),
    }


@task(name="draw video", cache_policy=NO_CACHE, persist_result=False)
def draw_video(
    config: SynthesizeConfig,
    request: Request,
    spoken: Spoken,
    shot: Shot,
    snapshot: Snapshot,
    folder: Path,
) -> tuple[Path, dict[str, Any]]:
    """Frames by video diffusion from one picture; the finished, marked file."""
    one = config.one_shot or OneShot()
    size = frame_size(config, snapshot)
    key = {
        "version": TOOL,
        "frames": key_of(spoken.alpha, spoken.arrays[HEARD], shot.picture, request.emotion),
        "model": file_hash(config.head / MODEL),
        "sampling": one.model_dump(exclude={"picture"}),
        "look": config.look.model_dump(),
        "size": size,
    }
    reuse.start(folder, key)
    mark = VisibleMark.of(size) if config.look.visible_mark else None

    def frames(start: int) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
        for small in drawn(
            shot, one, spoken.alpha, spoken.arrays[HEARD], request.emotion, start,
            folder / "motions",
        ):  # fmt: skip
            frame = enlarged(small, size)
            if mark is not None:
                mark.draw(frame)
            yield frame

    origin = provenance(
        {"portrait": config.head / MODEL, "network": request.checkpoint.path}, snapshot.id
    )
    joined, made = video_of(
        config, request.coding, Frames(frames, size, len(spoken.alpha)), origin, folder
    )
    return joined, {"picture": shot.whose, "drawn_size": len(shot.picture), **made}


@flow(name="synthesize", flow_run_name="synthesize {config.identity}", persist_result=False)
def synthesize(config: SynthesizeConfig) -> dict[str, Any]:
    """Speak a sound file, the emotion following a timeline: with an identity's head, or from one
    picture of anybody.

    Returns:
        What was heard and shown, JSON-able; arrays lie beside the video (`<video>.npz`).

    Raises:
        FlowError: options that contradict each other, an identity without head, another run that
            is writing this video.
        MediaError: the sound or a background video cannot be used.
        EmotionError: the timeline does not fit the sound, or names an emotion without hyperplane.
        RenderError: a background that does not fit, an ending that names no coding; a picture
            without a face, or with several.
    """
    request = checked(config)
    recordings: Recordings
    if config.one_shot is not None:
        recordings = InStore.open(config)
        drawing = prepared_shot(recordings, config.one_shot, request)
    else:
        recordings = recordings_of(config, request.checkpoint, request.carried)
        drawing = prepared(recordings, request)
    config, frames = recordings.config, request.frames
    profile = recordings.listening()
    config.out.parent.mkdir(parents=True, exist_ok=True)
    parts = config.out.with_name(f".{config.out.name}.parts")
    parts.mkdir(exist_ok=True)
    lock = FileLock(parts / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise FlowError(
            f"{config.out} is being written by another run (it holds {parts}/lock); wait for it, "
            "or name another video with --video"
        ) from error
    try:
        spoken = call(expression_of, config, profile, request, parts / "speech")
        draft, shown = drawing(spoken, parts / "frames")
        seconds = spoken.seconds | shown.pop("seconds")
        record = {
            "video": str(config.out),
            "identity": config.identity,
            "audio": str(config.audio),
            "emotion": request.emotion,
            "frames": frames,
            **shown,
            "notes": [
                *(request.notes or disagreements(config.head, config.network)),
                *filter(None, [spoken.facts.get("remark")]),
            ],
            "heard": spoken.facts,
            "snapshot": recordings.origin,
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
        }
        told = {name: array for name, array in spoken.arrays.items() if name != HEARD}
        np.savez_compressed(config.out.with_suffix(".npz"), **told)
        config.out.with_suffix(".json").write_text(json.dumps(record, indent=1, default=str))
        draft.replace(config.out)
        shutil.rmtree(parts)
    finally:
        lock.release()
    return record


Drawing = Callable[[Spoken, Path], tuple[Path, dict[str, Any]]]
"""Expression and a folder to work in, to the finished file and what the record says of it."""


def prepared(recordings: Recordings, request: Request) -> Drawing:
    """Open what frames are made of, before the long work, so that what does not fit is said now.

    Raises:
        FlowError, RenderError, MediaError: see `synthesize`.
    """
    config = recordings.config
    course = recordings.course(request.frames)
    background = opened_background(config, recordings.side, request.frames)
    return lambda spoken, folder: call(
        render_video, config, request, spoken, course, background, recordings, folder
    )


def prepared_shot(recordings: InStore, one: OneShot, request: Request) -> Drawing:
    """The same for a face that is drawn from one picture."""
    config, snapshot = recordings.config, recordings.snapshot
    shot = opened_shot(config, one, snapshot)
    asked_of(shot, request.emotion, request.frames)  # an emotion its experts do not know
    return lambda spoken, folder: call(draw_video, config, request, spoken, shot, snapshot, folder)


def opened_background(config: SynthesizeConfig, size: int, frames: int) -> Background | None:
    """The background of a video of this size, opened before the long work so that what does not
    fit is said at once.

    None for the scene as filmed, and for none at all.

    Raises:
        RenderError: it does not fit, or is none.
        MediaError: a video that cannot be used.
    """
    look = config.look
    if look.background in (ORIGINAL, TRANSPARENT):
        return None
    return open_background(look.background, size, frames, look.background_fit, look.background_end)
