"""The known truth of one clip: what every frame's face does."""

import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pipeline.samples import indices
from pipeline.samples.deform import NAMES, mouth_aspect
from pipeline.samples.emotions import express
from pipeline.samples.person import Person
from pipeline.samples.speech_files import Reading
from pipeline.samples.tracks import blinks, gaze, head_pose
from pipeline.samples.visemes import speak

_EYE = NAMES.index("eye_open")
_JAW = NAMES.index("jaw_open")
_TOUCH = 0.6


@dataclass(frozen=True)
class Script:
    """Frames of one clip."""

    coefficients: Float[np.ndarray, "frames 10"]
    """Fractions of the face length; blinks are in eye_open."""
    rotation: Float[np.ndarray, "frames 3 3"]
    translation: Float[np.ndarray, "frames 3"]
    """camera = rotation @ head + translation, units."""
    mouth_open: Float[np.ndarray, " frames"]
    """Inner-lip aspect ratio of the unposed surface."""
    blink: Float[np.ndarray, " frames"]
    gaze: Float[np.ndarray, "frames 2"]


def _keep_lips_apart(coefficients: np.ndarray, person: Person) -> np.ndarray:
    """Open the jaw where an emotion would press the lips through each other."""
    inner = [*indices.LIP_INNER_UPPER[3:8], *indices.LIP_INNER_LOWER[3:8]]
    rest, fields = person.neutral[inner, 1], person.basis.fields[:, inner, 1]
    rows = rest + coefficients @ fields
    overlap = (rows[:, :5] - rows[:, 5:]).max(axis=1) - _TOUCH
    opens = (fields[_JAW, 5:] - fields[_JAW, :5]).min()
    out = coefficients.copy()
    out[:, _JAW] += np.maximum(overlap, 0) / opens
    return out


def write_script(person: Person, reading: Reading, emotion: str, name: str) -> Script:
    """All the truth of the clip `name`; the name seeds what wanders."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    frames = reading.frames
    coefficients = express(speak(reading.phonemes, frames), emotion, rng)
    coefficients = _keep_lips_apart(coefficients, person)
    pose = head_pose(frames, emotion, rng)
    blink, looking = blinks(frames, rng), gaze(frames, rng)
    shut = -person.basis.eye_gap
    coefficients[:, _EYE] += blink * (shut - coefficients[:, _EYE])
    frame = person.frame
    aspect = [mouth_aspect(person.basis.apply(person.neutral, c)) for c in coefficients]
    return Script(
        coefficients,
        frame.rotation @ pose.rotation,
        pose.translation @ frame.rotation.T + frame.translation,
        np.array(aspect),
        blink,
        looking,
    )
