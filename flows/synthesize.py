"""Flow `synthesize`: sound and a timeline of emotions to a video of one identity."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int16
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.config import SynthesizeConfig
from flows.errors import NothingToDo
from flows.features import FeatureNames
from flows.orchestra import call
from flows.progress import step
from flows.train_head import head_clips, head_data
from models import Speech, SpeechFeatures, load, read_steps, speak
from pipeline.features import TOKENS
from pipeline.profiles import Profile, load_profile
from pipeline.sound import read_sound, speech_inputs
from pipeline.transcript import Transcript, Word
from render.head_data import HeadData
from store import Cache, Snapshot

CALM = ("neutral", "calm", "")
SHORTEST_TRACK = 12
"""Frames; below half a second the head would shuttle visibly."""


@dataclass(frozen=True)
class DrivingTrack:
    """Where the head looks while it speaks: poses, torso and background of a recorded clip."""

    clip_id: str
    data: HeadData
    """The usable stretch of the clip."""

    def order(self, frames: int) -> Int[np.ndarray, " frames"]:
        """Rows for a video of ``frames`` frames."""
        return there_and_back(len(self.data.cameras), frames)


def there_and_back(length: int, frames: int) -> Int[np.ndarray, " frames"]:
    """To the end, back to the start, and so on: no jump, whatever the lengths.

    >>> there_and_back(3, 7)
    array([0, 1, 2, 1, 0, 1, 2])
    """
    there = np.arange(length)
    return np.resize(np.concatenate([there, there[-2:0:-1]]), frames)


def driving_track(
    snapshot: Snapshot, dataset: str, identity: str, names: FeatureNames
) -> DrivingTrack:
    """The longest stretch with a pose in every frame, of a calm clip if there is one.

    Raises:
        NothingToDo: no clip has a pose in at least half a second of consecutive frames.
    """
    table = snapshot.clips(dataset)
    best: tuple[tuple[bool, int], str, slice] | None = None
    for clip_id in head_clips(snapshot, dataset, identity, names):
        cameras = snapshot.read(dataset, names.camera, clip_id)
        run = longest_run(np.asarray(np.isfinite(cameras).all(axis=(1, 2))))
        rank = (table.emotion[clip_id] in CALM, run.stop - run.start)
        if best is None or rank > best[0]:
            best = rank, clip_id, run
    if best is None or best[0][1] < SHORTEST_TRACK:
        raise NothingToDo(
            f"identity {identity!r} has no clip with a pose in {SHORTEST_TRACK} consecutive frames "
            f"(longest: {best[0][1] if best else 0}); add a clip in which the face stays visible"
        )
    _, clip_id, run = best
    data = head_data(snapshot, dataset, [clip_id], names, thin=False)
    return DrivingTrack(clip_id, data.take(np.arange(run.start, run.stop)))


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
        words = tuple(Word(*word) for word in config.words)
        text = " ".join(word.text for word in words)
        known = Transcript(text, words, source="sidecar") if words else None
        features, facts = heard(profile, config.audio, config.names, known)
        speech = speak(load(config.network), features, config.emotion, config.identity)
    return speech, features, facts


@task(name="render video", cache_policy=NO_CACHE, persist_result=False)
def render_video(
    config: SynthesizeConfig,
    alpha: Float[np.ndarray, "frames k"],
    sound: Int16[np.ndarray, " samples"],
    track: DrivingTrack,
    everything: HeadData,
) -> None:
    """Head over torso over background, frame by frame, into the file."""
    from render.backdrop import TorsoLayers, background_plate
    from render.compositing import compose
    from render.head import load_head
    from render.video import VideoWriter

    head = load_head(config.head)
    size = config.render_size or track.data.size
    layers = TorsoLayers.of(track.data, background_plate(everything))
    under = [layers.layer(row) for row in range(len(track.data.frames))]
    rows = track.order(len(alpha))
    with (
        step("render video", total=len(alpha), unit="frames") as bar,
        VideoWriter(config.out, track.data.size, sound) as video,
    ):
        for row, coefficients in zip(rows, alpha, strict=True):
            rgb, opacity = head.render(track.data.cameras[row], coefficients, size)
            video.write(compose(rgb, opacity, under[row]))
            bar.advance()


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
    speech, _, facts = call(expression_of, config, profile)
    track = driving_track(snapshot, config.dataset, config.identity, config.names)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    clip_ids = head_clips(snapshot, config.dataset, config.identity, config.names)
    everything = head_data(snapshot, config.dataset, clip_ids, config.names)
    samples = read_sound(config.audio)
    sound = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
    call(render_video, config, speech.alpha, sound, track, everything)
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
