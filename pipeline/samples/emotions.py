"""How an emotion changes the face: a constant offset, and how much of speech it lets through."""

import numpy as np
from jaxtyping import Float

from pipeline.errors import InputError
from pipeline.samples.deform import NAMES

_OFFSETS: dict[str, dict[str, float]] = {
    "neutral": {},
    "happy": {
        "corner_raise": 0.042,
        "mouth_width": 0.055,
        "upper_lip_raise": 0.012,
        "lower_lip_drop": 0.004,
        "brow_inner_raise": 0.010,
        "brow_outer_raise": 0.014,
        "eye_open": -0.013,
    },
    "sad": {
        "corner_raise": -0.034,
        "mouth_width": -0.015,
        "brow_inner_raise": 0.046,
        "brow_outer_raise": -0.014,
        "brow_gap": -0.012,
        "eye_open": -0.015,
        "lower_lip_drop": -0.003,
    },
    "angry": {
        "corner_raise": -0.016,
        "mouth_width": -0.020,
        "upper_lip_raise": 0.012,
        "lower_lip_drop": 0.012,
        "brow_inner_raise": -0.036,
        "brow_outer_raise": 0.004,
        "brow_gap": -0.022,
        "eye_open": 0.006,
    },
}

_ARTICULATION = {"neutral": 1.0, "happy": 1.08, "sad": 0.78, "angry": 1.15}
INTENSITY = {"neutral": 1, "happy": 3, "sad": 3, "angry": 3}
"""Intensity level written to the sidecar: neutral has only the first, as in MEAD."""


def offset(emotion: str) -> Float[np.ndarray, "10"]:
    """Coefficients of the silent emotional face; InputError for an emotion without samples."""
    if emotion not in _OFFSETS:
        raise InputError(f"no sample emotion {emotion!r}; there are {', '.join(_OFFSETS)}")
    return np.array([_OFFSETS[emotion].get(name, 0.0) for name in NAMES])


def express(
    speech: Float[np.ndarray, "frames 10"], emotion: str, rng: np.random.Generator
) -> Float[np.ndarray, "frames 10"]:
    """Speech with the emotion laid over it; its strength drifts a little, as faces do."""
    frames = len(speech)
    base = offset(emotion)
    slow = np.sin(2 * np.pi * (rng.uniform(0.25, 0.5) * np.arange(frames) / 25 + rng.uniform()))
    strength = rng.uniform(0.9, 1.05) + 0.08 * slow
    scale = np.where(np.arange(len(NAMES)) < 2, _ARTICULATION[emotion], 1.0)
    return speech * scale + strength[:, None] * base
