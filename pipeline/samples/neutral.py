"""From the portrait's smile to a closed, relaxed mouth.

Lip points get targets on a closed mouth of given width and fullness; the displacement is
interpolated between them and points that must not move, for the upper and the lower side of the
mouth separately, since the two sides part at the mouth line.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import RBFInterpolator

from pipeline.samples import indices

_STILL = (1, 2, 4, 5, 6, 98, 327, 168, 33, 133, 263, 362, 145, 374, 159, 386, 70, 300, 10, 234, 454)
_STILL_LOW = (*_STILL, 132, 361, 58, 288)


@dataclass(frozen=True)
class MouthShape:
    """The closed mouth of one identity, in units of the head frame."""

    half_width: float = 18.0
    """From the middle to a corner."""
    line: float = 7.0
    """The mouth line lies this far below the smile's corners."""
    upper: float = 4.6
    """Height of the upper lip in the middle."""
    lower: float = 6.2
    """Height of the lower lip in the middle."""
    chin: float = -2.2
    """How far the chin moves down (negative: up) as the mouth closes."""


def lower_side(head: Float[np.ndarray, "vertices 3"]) -> Float[np.ndarray, " vertices"]:
    """1 below the mouth line, 0 above, soft beside the corners; of the portrait's *open* mouth."""
    upper, lower = head[list(indices.LIP_INNER_UPPER)], head[list(indices.LIP_INNER_LOWER)]
    middle, half = (upper + lower) / 2, (lower[:, 1] - upper[:, 1]) / 2
    x, y = head[:, 0], head[:, 1]
    line = np.interp(x, middle[:, 0], middle[:, 1])
    beyond = np.maximum(0, np.abs(x - middle[[0, -1], 0].mean()) - np.ptp(middle[:, 0]) / 2)
    soft = np.interp(x, middle[:, 0], half) * 0.9 + 0.02 + 0.8 * beyond
    step = np.clip((y - line) / soft, -1, 1)
    return 0.5 + 0.5 * np.sin(step * np.pi / 2)


def close_mouth(
    head: Float[np.ndarray, "vertices 3"], shape: MouthShape
) -> Float[np.ndarray, "vertices 3"]:
    """The surface with a closed mouth, head coordinates in and out."""
    corners = head[[61, 291]]
    middle_x, corner_y = corners[:, 0].mean(), corners[:, 1].mean() + shape.line
    half = np.ptp(corners[:, 0]) / 2

    def targets(points: tuple[int, ...], offset: float, bow: float = 0.0) -> np.ndarray:
        here = head[list(points)]
        s = np.clip((here[:, 0] - middle_x) / half, -1, 1)
        there = here.copy()
        there[:, 0] = middle_x + s * shape.half_width
        round_off = 1 - np.abs(s) ** 2.4
        there[:, 1] = corner_y - 0.5 * (1 - s * s) + offset * round_off
        there[:, 1] += bow * np.exp(-((s / 0.16) ** 2))
        there[:, 2] -= 1.2 * (1 - s * s) + (0.6 if offset < 0 else 0.0)
        return there - here

    upper = _field(
        head,
        (*indices.LIP_INNER_UPPER, *indices.LIP_OUTER_UPPER),
        np.concatenate(
            [
                targets(indices.LIP_INNER_UPPER, 0.35) + np.array([0, 0.2, 0]),
                targets(indices.LIP_OUTER_UPPER, -shape.upper, bow=0.7),
            ]
        ),
        _STILL,
    )
    chin = np.array([0.0, shape.chin, 0.0])
    lower = _field(
        head,
        (*indices.LIP_INNER_LOWER, *indices.LIP_OUTER_LOWER, 199, 175, 152, 171, 396, 200),
        np.concatenate(
            [
                targets(indices.LIP_INNER_LOWER, 0.0),
                targets(indices.LIP_OUTER_LOWER, shape.lower),
                np.tile(chin, (5, 1)),
                chin[None] * 1.3,
            ]
        ),
        _STILL_LOW,
    )
    side = lower_side(head)[:, None]
    centre = np.array([middle_x, corner_y + 3])
    distance = np.hypot((head[:, 0] - centre[0]) / 46, (head[:, 1] - centre[1]) / 44)
    window = np.clip((1.25 - distance) / 0.6, 0, 1)[:, None]
    window = window * window * (3 - 2 * window)
    return head + window * (side * lower + (1 - side) * upper)


def _field(head: np.ndarray, moved: tuple[int, ...], by: np.ndarray, still: tuple[int, ...]):
    unique, first = np.unique(moved, return_index=True)
    spots = np.concatenate([head[unique, :2], head[list(still), :2]])
    values = np.concatenate([by[first], np.zeros((len(still), 3))])
    return RBFInterpolator(spots, values, kernel="linear", smoothing=0.0)(head[:, :2])
