"""Ten displacement fields over the surface: what one unit of each semantic coefficient moves.

A coefficient is a fraction of the face length (hairline to chin): the field's reference point
moves by coefficient x face length. Fields are smooth bumps in head coordinates of the neutral
face; the mouth line separates upper from lower lip. All are linear: vertices = neutral + basis @
coefficients.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pipeline.samples import indices
from pipeline.samples.geometry import face_length

NAMES = (
    *("jaw_open", "mouth_width", "lip_protrusion", "corner_raise", "upper_lip_raise"),
    *("lower_lip_drop", "brow_inner_raise", "brow_outer_raise", "brow_gap", "eye_open"),
)
"""Order of the coefficients."""


@dataclass(frozen=True)
class Basis:
    """Linear deformation of one identity's neutral surface."""

    fields: Float[np.ndarray, "10 vertices 3"]
    """Units per unit of coefficient."""
    eye_gap: float
    """Largest lid opening of the neutral face; eye_open = -eye_gap shuts the eyes."""

    def apply(
        self, neutral: Float[np.ndarray, "vertices 3"], coefficients: Float[np.ndarray, "10"]
    ) -> Float[np.ndarray, "vertices 3"]:
        """The deformed surface."""
        return neutral + np.tensordot(coefficients, self.fields, axes=1)


def _bump(head: np.ndarray, centre: np.ndarray, sx: float, sy: float) -> np.ndarray:
    d = head[:, :2] - centre[:2]
    return np.exp(-0.5 * ((d[:, 0] / sx) ** 2 + (d[:, 1] / sy) ** 2))


def _smooth(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _mouth_fields(head: np.ndarray, low: np.ndarray) -> dict[str, np.ndarray]:
    right, left = head[61], head[291]
    centre = (right + left) / 2
    half = float(np.linalg.norm(left - right)) / 2
    s = (head[:, 0] - centre[0]) / half
    across = np.clip(1 - s * s, 0, 1)
    chin = head[indices.CHIN]
    zero = np.zeros(len(head))

    below = head[:, 1] - chin[1]
    # towards the corners the sharp step between the lips widens into the cheeks
    beside = _smooth((np.abs(s) - 0.25) / 0.75)
    hinged = (1 - beside) * low + beside * _smooth(0.5 + (head[:, 1] - centre[1]) / 30)
    jaw = hinged * _smooth((46 - head[:, 2]) / 34) * np.exp(-0.5 * (np.maximum(below, 0) / 11) ** 2)
    jaw = jaw * np.exp(-0.5 * (np.maximum(np.abs(s) - 1.0, 0) / 1.5) ** 2)
    corners = [_bump(head, right, 9.0, 9.0), _bump(head, left, 9.0, 9.0)]
    inward = corners[0] - corners[1]

    # x: in proportion to the distance from the middle, fading out over the cheeks
    spread = np.clip(s, -1, 1) * np.exp(-0.5 * (np.maximum(np.abs(s) - 1, 0) / 0.7) ** 2)
    spread = spread * np.exp(-0.5 * ((head[:, 1] - centre[1]) / 14) ** 2)

    lips = _bump(head, centre, 0.75 * half, 8.5)
    cheeks = _bump(head, right + np.array([-7, -9, 0]), 12.0, 14.0)
    cheeks = cheeks + _bump(head, left + np.array([7, -9, 0]), 12.0, 14.0)
    raised = np.clip(corners[0] + corners[1] + 0.45 * cheeks, 0, 1)
    upper_mid = (1 - low) * np.exp(-0.5 * ((head[:, 1] - centre[1] + 2) / 7.5) ** 2)
    lower_mid = low * np.exp(-0.5 * ((head[:, 1] - centre[1] - 3) / 7.0) ** 2)
    funnel = 0.22 * lips * (2 * low - 1) * across
    return {
        "jaw_open": np.column_stack([0.22 * inward, jaw, 0.35 * jaw]),
        "mouth_width": np.column_stack([0.5 * spread, zero, 0.35 * np.abs(spread)]),
        "lip_protrusion": np.column_stack([zero, funnel, -lips]),
        "corner_raise": np.column_stack(
            [0.25 * (corners[1] - corners[0]), -raised, 0.15 * (corners[0] + corners[1])]
        ),
        "upper_lip_raise": np.column_stack([zero, -upper_mid * across, zero]),
        "lower_lip_drop": np.column_stack([zero, lower_mid * across, zero]),
    }


def _brow_fields(head: np.ndarray) -> dict[str, np.ndarray]:
    zero = np.zeros(len(head))
    eyes = head[[33, 133, 263, 362], 1].mean()
    # nothing at the lids, all at the brows; over the nose the skin gives over a longer way
    bridge = np.exp(-((head[:, 0] / 9) ** 2))
    lift = _smooth((eyes - 2.5 + 14 * bridge - head[:, 1]) / (5.5 + 15 * bridge))
    inner = outer = gap = zero
    for brow, sign in (
        ((*indices.BROW_RIGHT_UPPER, *indices.BROW_RIGHT_LOWER), 1.0),
        ((*indices.BROW_LEFT_UPPER, *indices.BROW_LEFT_LOWER), -1.0),
    ):
        points = head[list(brow)]
        inside, outside = points[[4, 9]].mean(axis=0), points[[0, 1, 5, 6]].mean(axis=0)
        inner = inner + _bump(head, inside + np.array([sign * -2.0, -2, 0]), 8.5, 11.0)
        outer = outer + _bump(head, outside + np.array([0, -2, 0]), 9.0, 11.0)
        gap = gap - sign * _bump(head, inside + np.array([sign * -3.0, 0, 0]), 9.0, 9.0)
    inner, outer = np.clip(inner, 0, 1.15) * lift, np.clip(outer, 0, 1) * lift
    return {
        "brow_inner_raise": np.column_stack([zero, -inner, zero]),
        "brow_outer_raise": np.column_stack([zero, -outer, zero]),
        "brow_gap": np.column_stack([0.5 * gap * _smooth((eyes - 2 - head[:, 1]) / 7), zero, zero]),
    }


def _lid_field(head: np.ndarray) -> tuple[np.ndarray, float]:
    """Lids move in proportion to the local gap, so one value shuts the whole eye; and that gap."""
    gaps, move = [], np.zeros(len(head))
    for upper, lower in (
        (indices.EYE_RIGHT_UPPER, indices.EYE_RIGHT_LOWER),
        (indices.EYE_LEFT_UPPER, indices.EYE_LEFT_LOWER),
    ):
        up, down = head[list(upper)], head[list(lower)]
        order_up, order_down = np.argsort(up[:, 0]), np.argsort(down[:, 0])
        x = head[:, 0]
        top = np.interp(x, up[order_up, 0], up[order_up, 1])
        bottom = np.interp(x, down[order_down, 0], down[order_down, 1])
        gap = np.maximum(bottom - top, 0)
        gaps.append(gap[list(upper)].max())
        span = (x > up[:, 0].min() - 6) & (x < up[:, 0].max() + 6)
        middle = top + 0.72 * gap
        above = span & (head[:, 1] <= middle)
        below = span & (head[:, 1] > middle)
        fade_up = np.exp(-0.5 * (np.maximum(top - head[:, 1], 0) / 3.6) ** 2)
        fade_down = np.exp(-0.5 * (np.maximum(head[:, 1] - bottom, 0) / 4.0) ** 2)
        move = (
            move
            + np.where(above, -0.74 * gap * fade_up, 0)
            + np.where(below, 0.26 * gap * fade_down, 0)
        )
    largest = float(np.mean(gaps))
    return np.column_stack([np.zeros(len(head)), move / largest, np.zeros(len(head))]), largest


def build_basis(
    neutral: Float[np.ndarray, "vertices 3"], low: Float[np.ndarray, " vertices"]
) -> Basis:
    """Fields of a neutral surface; `low` is `neutral.lower_side` of the portrait."""
    length = face_length(neutral)
    lids, gap = _lid_field(neutral)
    fields = {**_mouth_fields(neutral, low), **_brow_fields(neutral), "eye_open": lids}
    return Basis(np.stack([length * fields[name] for name in NAMES]), gap / length)


def mouth_aspect(head: Float[np.ndarray, "vertices 3"]) -> float:
    """Inner-lip aspect ratio of the 3D surface; lips that overlap count as closed."""
    top, bottom = np.array(indices.MAR_VERTICAL).T
    open_by = head[bottom] - head[top]
    heights = np.where(open_by[:, 1] > 0, np.linalg.norm(open_by, axis=1), 0.0)
    width = np.linalg.norm(np.subtract(*head[list(indices.MAR_HORIZONTAL)]))
    return float(heights.sum() / (3 * width))
