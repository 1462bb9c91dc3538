"""Which of several faces speaks: mouth movement against the loudness of the sound."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64

from pipeline.geometry import Square
from pipeline.lag import loudness

_SMOOTH = 9
"""Frames over which movement and loudness are averaged: words, not phonemes."""


@dataclass(frozen=True)
class Verdict:
    """Who speaks."""

    index: int | None
    """Of the candidates; None where nobody stands out."""
    agreement: tuple[float, ...]
    """Correlation of each candidate's mouth with the sound."""


def mouth_square(box: Float[np.ndarray, "3"], picture: tuple[int, int]) -> Square:
    """Where the mouth of a detected face ([centre x, centre y, side]) moves, displayed pixels."""
    side = max(8, int(0.46 * box[2]))
    x = min(max(int(box[0] - side / 2), 0), picture[0] - side)
    y = min(max(int(box[1] + 0.28 * box[2] - side / 2), 0), picture[1] - side)
    return Square(max(x, 0), max(y, 0), side)


def speaking(
    movement: Float[np.ndarray, "faces frames"],
    sound: Float32[np.ndarray, " samples"],
    least: float,
) -> Verdict:
    """The face whose mouth moves when there is sound.

    Args:
        movement: mean change of each mouth's pixels a frame.
        sound: 640 samples a frame.
        least: how far the best must stand above the others.
    """
    voice = _smooth(loudness(sound))
    scores = tuple(_correlation(_smooth(np.log1p(row)), voice) for row in movement.astype(float))
    order = np.argsort(scores)[::-1]
    clear = len(scores) > 1 and scores[order[0]] - scores[order[1]] >= least
    return Verdict(int(order[0]) if clear else None, scores)


def _smooth(curve: Float64[np.ndarray, " frames"]) -> Float64[np.ndarray, " frames"]:
    window = np.hanning(_SMOOTH + 2)
    return np.convolve(curve, window, "same") / np.convolve(np.ones(len(curve)), window, "same")


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def chosen_text(verdict: Verdict, names: Sequence[str]) -> str:
    """The choice in words, with the figures."""
    told = ", ".join(f"{n} {v:+.2f}" for n, v in zip(names, verdict.agreement, strict=True))
    how = "the speaking one" if verdict.index is not None else "the main one, nobody stands out"
    return f"{how} (mouth with sound: {told})"
