"""Flow `synthesize`: sound and a timeline of emotions to a video of one identity."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.config import SynthesizeConfig
from flows.errors import NothingToDo
from flows.features import FeatureNames
from flows.progress import step
from flows.train_head import head_clips
from models import Speech, SpeechFeatures, load, read_steps, speak
from pipeline.features import TOKENS
from pipeline.profiles import Profile, load_profile
from pipeline.sound import read_sound, speech_inputs
from pipeline.transcript import Transcript
from store import Cache, Snapshot


@dataclass(frozen=True)
class DrivingTrack:
    """Where the head looks while it speaks: poses and torso pictures of a recorded clip."""

    clip_id: str
    cameras: Float[np.ndarray, "frames 3 4"]
    frames: UInt8[np.ndarray, "frames s s 3"]
    labels: UInt8[np.ndarray, "frames s s"]

    def order(self, frames: int) -> np.ndarray:
        """Rows for a video of ``frames`` frames: to the end of the clip, back, and so on, without
        a jump.

        >>> DrivingTrack("c", np.zeros((3, 3, 4)), *[np.zeros((3, 1, 1, 3), np.uint8)] * 2).order(7)
        array([0, 1, 2, 1, 0, 1, 2])
        """
        there = np.arange(len(self.cameras))
        cycle = np.concatenate([there, there[-2:0:-1]])
        return np.resize(cycle, frames)


def driving_track(
    snapshot: Snapshot, dataset: str, identity: str, names: FeatureNames, emotion: str | None = None
) -> DrivingTrack:
    """The longest clip of the identity whose every frame has a pose, calm ones first.

    Raises:
        NothingToDo: no clip has a pose in at least half a second of consecutive frames.
    """
    table = snapshot.clips(dataset)
    best: tuple[tuple[bool, int], str, slice] | None = None
    for clip_id in head_clips(snapshot, dataset, identity, names):
        cameras = snapshot.read(dataset, names.camera, clip_id)
        run = longest_run(np.isfinite(cameras).all(axis=(1, 2)))
        rank = (table.emotion[clip_id] in ("neutral", "calm", ""), run.stop - run.start)
        if best is None or rank > best[0]:
            best = rank, clip_id, run
    if best is None or best[0][1] < 12:
        raise NothingToDo(
            f"identity {identity!r} has no clip with a pose in 12 consecutive frames (longest: "
            f"{best[0][1] if best else 0}); add a clip in which the face stays visible"
        )
    _, clip_id, run = best
    window = (run.start, run.stop)
    return DrivingTrack(
        clip_id,
        snapshot.read(dataset, names.camera, clip_id, *window).astype(np.float64),
        snapshot.read(dataset, names.frames, clip_id, *window),
        snapshot.read(dataset, names.parsing, clip_id, *window),
    )


def longest_run(good: np.ndarray) -> slice:
    """The longest stretch of True; empty if there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(np.int8), [0]])))
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return slice(0, 0)
    at = int((stops - starts).argmax())
    return slice(int(starts[at]), int(stops[at]))


def heard(
    profile: Profile, audio: Path, names: FeatureNames, transcript: Transcript | None = None
) -> tuple[SpeechFeatures, dict[str, Any]]:
    """Speech features of a sound file by the encoders that made the cache, and their remarks."""
    inputs = speech_inputs(read_sound(audio), transcript)
    arrays: dict[str, np.ndarray] = {}
    for encoder in profile.encoders:
        if {spec.name for spec in encoder.outputs} & {names.audio, names.emotion, names.text}:
            arrays |= encoder.encode(inputs)
    return (
        SpeechFeatures(
            read_steps(arrays[names.audio]),
            read_steps(arrays[names.emotion]),
            arrays[names.text + TOKENS],
            arrays[names.text],
        ),
        inputs.facts,
    )


@task(name="hear and speak", cache_policy=NO_CACHE, persist_result=False)
def expression_of(
    config: SynthesizeConfig, profile: Profile
) -> tuple[Speech, SpeechFeatures, dict[str, Any]]:
    """Sound to steered expression coefficients."""
    with step("hear, predict expression"):
        features, facts = heard(profile, config.audio, config.names)
        speech = speak(load(config.network), features, config.emotion, config.identity)
    return speech, features, facts


@task(name="render video", cache_policy=NO_CACHE, persist_result=False)
def render_video(
    config: SynthesizeConfig, alpha: Float[np.ndarray, "frames k"], track: DrivingTrack
) -> None:
    """Head over torso over background, frame by frame, into the file."""
    from render.compose import Compositor
    from render.head import load_head
    from render.video import write_video

    head = load_head(config.head)
    size = track.frames.shape[1]
    compositor = Compositor.of(track.frames, track.labels)
    rows = track.order(len(alpha))
    with step("render video", total=len(alpha), unit="frames") as bar:

        def pictures() -> Iterator[UInt8[np.ndarray, "s s 3"]]:
            for row, coefficients in zip(rows, alpha, strict=True):
                rgb, opacity = head.render(track.cameras[row], coefficients, size)
                yield compositor.picture(rgb, opacity, row)
                bar.advance()

        write_video(config.out, pictures(), audio=config.audio, frames=len(alpha))


@flow(name="synthesize", flow_run_name="synthesize {config.identity}", persist_result=False)
def synthesize(config: SynthesizeConfig) -> dict[str, Any]:
    """Speak a sound file with an identity's head, its emotion following a timeline.

    Returns:
        What was heard and shown, JSON-able; arrays lie beside the video (`<video>.npz`).

    Raises:
        MediaError: the sound cannot be used.
        EmotionError: the timeline does not fit the sound, or names an emotion without hyperplane.
    """
    snapshot = Cache.open(config.store).snapshot(config.ref)
    profile = load_profile(config.profile, **config.overrides)
    speech, _, facts = expression_of(config, profile)
    track = driving_track(snapshot, config.dataset, config.identity, config.names)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    render_video(config, speech.alpha, track)
    arrays = config.out.with_suffix(".npz")
    np.savez_compressed(
        arrays,
        alpha=speech.alpha,
        alpha_tilde=speech.prediction.alpha_tilde,
        margin=speech.steered.margin,
        shift=speech.steered.shift,
        tags=np.array(speech.steered.tags),
    )
    record = {
        "video": str(config.out),
        "identity": config.identity,
        "audio": str(config.audio),
        "emotion": config.emotion,
        "frames": len(speech.alpha),
        "driving_clip": track.clip_id,
        "heard": facts,
        "snapshot": snapshot.id,
    }
    config.out.with_suffix(".json").write_text(json.dumps(record, indent=1, default=str))
    return record
