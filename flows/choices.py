"""What the main job takes where the user leaves the choice to it.

Whose head, which speech, which emotions.
"""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flows.config import MainJobConfig
from flows.errors import NothingToDo
from flows.features import FeatureNames
from flows.reading import clips_with
from flows.train_audio_expression import splits_of
from flows.train_head import head_clips, head_features
from pipeline import clock
from pipeline.samples import heldout_reading
from pipeline.sound import read_sound
from store import Snapshot

LONGEST_SPEECH = 8.0
"""Seconds of a held-out clip that are spoken; your own --audio is spoken whole."""
FAVOURITES = ("happy", "angry", "surprised", "sad")


@dataclass(frozen=True)
class Speech:
    """A sound file to speak, and where it comes from."""

    path: Path
    seconds: float
    what: str
    words: tuple[tuple[str, float, float], ...] = ()
    """(word, start, end) in seconds, where they are known."""


def choose_identity(
    snapshot: Snapshot, dataset: str, names: FeatureNames, asked: str | None
) -> str:
    """The identity asked for, else the one with most frames that a head can be trained from.

    Raises:
        NothingToDo: nobody has such frames, or not the one asked for.
    """
    if asked is not None:
        head_clips(snapshot, dataset, asked, names)
        return asked
    clips = clips_with(snapshot, dataset, head_features(names))
    if not clips:
        raise NothingToDo("no clip has frames, parsing and pose; add clips that show a face")
    table = snapshot.clips(dataset).loc[clips]
    # Ties go to the name that comes first, so that two runs choose alike.
    totals = table.groupby("identity").frames.sum().sort_index(kind="stable")
    return str(totals.idxmax())


def choose_speech(
    snapshot: Snapshot, dataset: str, names: FeatureNames, identity: str, config: MainJobConfig
) -> Speech:
    """The user's audio, else speech that nothing was trained on.

    Raises:
        NothingToDo: no clip has sound and none was given.
    """
    if config.audio is not None:
        samples = read_sound(config.audio)
        return Speech(config.audio, len(samples) / clock.SAMPLE_RATE, f"your {config.audio.name}")
    if config.data is None:
        reading = heldout_reading(identity)
        seconds = len(read_sound(reading.path)) / clock.SAMPLE_RATE
        words = tuple((str(w["word"]), float(w["start"]), float(w["end"])) for w in reading.words)
        return Speech(reading.path, seconds, "a sentence that no clip speaks", words)
    heard = clips_with(snapshot, dataset, ("audio/waveform",))
    if not heard:
        raise NothingToDo("no clip has sound; say with --audio what the head shall speak")
    table = snapshot.clips(dataset).loc[heard]
    splits = splits_of(snapshot, dataset, heard)
    # Held out of the network first, then this identity's own voice, then the longest.
    ranked = sorted(
        heard,
        key=lambda c: (
            splits[c] == "train",
            table.identity[c] != identity,
            -int(table.frames[c]),
            c,
        ),
    )
    clip_id = ranked[0]
    frames = min(int(table.frames[clip_id]), int(LONGEST_SPEECH * clock.FPS))
    sound = snapshot.read(dataset, "audio/waveform", clip_id, 0, frames).reshape(-1)
    path = config.out / "speech.wav"
    write_wav(path, sound)
    known = "held out" if splits[clip_id] != "train" else "also trained on: no clip is held out"
    return Speech(path, frames / clock.FPS, f"clip {Path(table.uri[clip_id]).name} ({known})")


def choose_timeline(network: Path, identity: str, seconds: float, asked: str | None) -> str | None:
    """The timeline asked for, else from neutral to a clear emotion; None where none is known."""
    if asked is not None:
        return asked
    from models import load
    from models.data import merged_planes

    checkpoint = load(network)
    planes = merged_planes(checkpoint.planes, identity, checkpoint.train.planes).planes
    if len(planes) < 2:
        return next(iter(planes), None)
    first = "neutral" if "neutral" in planes else min(planes)
    rest = [tag for tag in planes if tag != first]
    target = next((tag for tag in FAVOURITES if tag in rest), rest[0])
    end = int(10 * seconds) / 10
    return f"{first}@0-{0.35 * seconds:.1f}, {target}@{0.55 * seconds:.1f}-{end:.1f}"


def write_wav(path: Path, samples: np.ndarray) -> None:
    """16 kHz mono 16-bit."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(clock.SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
