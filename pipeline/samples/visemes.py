"""What the mouth does for a phoneme, and how neighbouring phonemes blend.

Co-articulation by dominance functions: every phoneme pulls the mouth towards its target with a
weight that rises and falls round its middle; lips that must meet (p b m) or touch the teeth (f v)
pull hardest. Source: Cohen and Massaro, Modeling coarticulation in synthetic visual speech
(1993).
"""

import numpy as np
from jaxtyping import Float

from pipeline.clock import FPS
from pipeline.samples.deform import NAMES

# jaw_open, mouth_width, lip_protrusion, corner_raise, upper_lip_raise, lower_lip_drop; pull
_SHAPES: dict[str, tuple[tuple[float, ...], float]] = {
    "rest": ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.7),
    "closed": ((0.0, -0.005, 0.01, 0.0, -0.004, -0.006), 5.0),
    "teeth on lip": ((0.018, 0.0, 0.0, 0.0, 0.012, -0.010), 4.0),
    "tongue": ((0.030, 0.005, 0.0, 0.0, 0.006, 0.010), 1.2),
    "hiss": ((0.022, 0.012, 0.0, 0.0, 0.008, 0.016), 1.8),
    "hush": ((0.028, -0.050, 0.050, 0.0, 0.014, 0.018), 2.4),
    "back": ((0.045, 0.0, 0.0, 0.0, 0.004, 0.006), 0.9),
    "r": ((0.035, -0.035, 0.035, 0.0, 0.006, 0.008), 1.5),
    "round": ((0.024, -0.080, 0.070, 0.0, 0.004, 0.004), 2.4),
    "half round": ((0.065, -0.055, 0.050, 0.0, 0.004, 0.006), 2.0),
    "wide open": ((0.110, 0.000, 0.0, 0.0, 0.008, 0.010), 2.0),
    "open": ((0.085, 0.010, 0.0, 0.0, 0.006, 0.010), 1.8),
    "mid": ((0.055, 0.000, 0.0, 0.0, 0.004, 0.006), 1.0),
    "spread": ((0.034, 0.050, 0.0, 0.0, 0.010, 0.014), 1.8),
    "breath": ((0.040, 0.0, 0.0, 0.0, 0.0, 0.0), 0.3),
}

# espeak-ng mnemonic -> shapes in order; two for diphthongs
_PHONEMES: dict[str, tuple[str, ...]] = {
    "_": ("rest",),
    **dict.fromkeys(("p", "b", "m"), ("closed",)),
    **dict.fromkeys(("f", "v"), ("teeth on lip",)),
    **dict.fromkeys(("T", "D", "t", "t#", "d", "n", "l", "@L"), ("tongue",)),
    **dict.fromkeys(("s", "z"), ("hiss",)),
    **dict.fromkeys(("S", "Z", "tS", "dZ"), ("hush",)),
    **dict.fromkeys(("k", "g", "N"), ("back",)),
    **dict.fromkeys(("r", "3", "3:"), ("r",)),
    **dict.fromkeys(("w", "u:", "U"), ("round",)),
    "oU": ("half round", "round"),
    "O@": ("half round", "r"),
    "o@": ("half round", "r"),
    "aI": ("wide open", "spread"),
    "aU": ("wide open", "round"),
    "A@": ("wide open", "r"),
    "a": ("wide open",),
    "E": ("open",),
    "e@": ("open", "r"),
    "eI": ("open", "spread"),
    **dict.fromkeys(("V", "@", "@2", "a#", "I2", "I#"), ("mid",)),
    **dict.fromkeys(("I", "i:", "j", ";"), ("spread",)),
    "h": ("breath",),
}

_RATE = 200
_SPREAD = 0.055
_SMOOTH = 0.018


def shapes_of(phoneme: str) -> tuple[str, ...]:
    """Mouth shapes of an espeak-ng mnemonic; an unknown vowel is a mid one."""
    return _PHONEMES.get(phoneme, ("mid",))


def _events(phonemes: list[dict], frames: int) -> list[tuple[float, float, str]]:
    """(middle, half length, shape) of every target, with rest before and after speech."""
    events = [(0.0, phonemes[0]["start"] / 2, "rest")]
    for item in phonemes:
        shapes = shapes_of(item["phoneme"])
        length = (item["end"] - item["start"]) / len(shapes)
        for i, shape in enumerate(shapes):
            events.append((item["start"] + (i + 0.5) * length, length / 2, shape))
    last = phonemes[-1]["end"]
    return [*events, (max(frames / FPS, last + 0.1), max(frames / FPS - last, 0.1) / 2, "rest")]


def speak(phonemes: list[dict], frames: int) -> Float[np.ndarray, "frames 10"]:
    """Coefficients of a speaking, unemotional mouth at the frames' centres."""
    count = round(frames / FPS * _RATE)
    times = (np.arange(count) + 0.5) / _RATE
    total = np.zeros((count, len(NAMES)))
    weights = np.full((count, 1), 1e-6)
    for middle, half, shape in _events(phonemes, frames):
        target, pull = _SHAPES[shape]
        away = np.maximum(np.abs(times - middle) - 0.6 * half, 0) / _SPREAD
        weight = (pull * np.exp(-(away**1.6) * 2.2))[:, None]
        total[:, : len(target)] += weight * np.array(target)
        weights += weight
    track = total / weights
    kernel = np.exp(-0.5 * (np.arange(-12, 13) / (_SMOOTH * _RATE)) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(track, ((12, 12), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(c, kernel, mode="valid") for c in padded.T], axis=1)
    centres = (np.arange(frames) + 0.5) / FPS
    return np.stack([np.interp(centres, times, c) for c in smooth.T], axis=1)
