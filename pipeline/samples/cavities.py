"""What lies behind the openings of the face: eyeballs, upper and lower teeth, tongue, the dark.

Each is a small patch of surface in head coordinates with its own texture positions. Patches
follow the head; lower teeth and tongue follow the jaw as well.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pipeline.samples import indices
from pipeline.samples.frame import HeadFrame, lift
from pipeline.samples.geometry import flatten
from pipeline.samples.portrait import TEXELS, WINDOW

SIDE = WINDOW * TEXELS
"""Texture pixels along one side of the portrait; the second texture starts at this row."""
_SECOND = np.array([0.0, SIDE])
DARK_TILE = (20, 20)
"""Texture pixel (column, row of the second texture) of the dark of the mouth."""
TONGUE_TILE = (60, 20)
"""Texture pixel of the tongue's colour."""


@dataclass(frozen=True)
class Patch:
    """A grid of vertices."""

    head: Float[np.ndarray, "vertices 3"]
    texture: Float[np.ndarray, "vertices 2"]
    """Texture pixels (column, row) in the atlas."""
    shade: Float[np.ndarray, " vertices"]
    """Brightness factor."""
    jaw: float
    """1: goes with the jaw; 0: fixed in the head."""
    gaze: bool
    """Whether the patch shifts with the gaze."""
    triangles: Int[np.ndarray, "triangles 3"]


def texture_position(picture: np.ndarray) -> np.ndarray:
    """Units from the window's centre to texture pixels of the portrait."""
    return (picture[:, :2] + WINDOW / 2) * TEXELS


def _grid(rows: int, columns: int) -> np.ndarray:
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    first = np.column_stack([corner, corner + 1, corner + columns])
    second = np.column_stack([corner + 1, corner + columns + 1, corner + columns])
    return np.concatenate([first, second])


def _place(x: np.ndarray, y: np.ndarray, depth: np.ndarray, frame: HeadFrame) -> np.ndarray:
    return frame.to_head(lift(np.column_stack([x.ravel(), y.ravel(), depth.ravel()])))


def _eye(landmarks: np.ndarray, upper: tuple[int, ...], lower: tuple[int, ...], frame: HeadFrame):
    rim = landmarks[[*upper, *lower]]
    rim = np.column_stack([rim[:, :2], flatten(rim[:, 2])])
    centre = rim[:, :2].mean(axis=0)
    # a plane a little behind the lids: the eye turns too little to tell it from a ball
    plane = np.linalg.lstsq(np.column_stack([rim[:, :2], np.ones(len(rim))]), rim[:, 2], rcond=None)
    u, v = np.meshgrid(np.linspace(-12.5, 12.5, 11), np.linspace(-6, 6, 7))
    x, y = centre[0] + u, centre[1] + v
    ball = plane[0][0] * x + plane[0][1] * y + plane[0][2] + 2.2
    texture = texture_position(np.column_stack([x.ravel(), y.ravel()])) + _SECOND
    rows, columns = u.shape
    shade = np.full(u.size, 1.0)
    return Patch(_place(x, y, ball, frame), texture, shade, 0.0, True, _grid(rows, columns))


def _teeth(landmarks: np.ndarray, frame: HeadFrame, *, upper: bool) -> Patch:
    top, bottom = landmarks[list(indices.LIP_INNER_UPPER)], landmarks[list(indices.LIP_INNER_LOWER)]
    rows, columns = 7, 25
    share = np.linspace(0.03, 0.97, columns) if upper else np.linspace(0.2, 0.8, columns)
    x = np.interp(share, np.linspace(0, 1, 11), (top[:, 0] + bottom[:, 0]) / 2)
    y_top = np.interp(x, top[:, 0], top[:, 1]) + 0.5
    y_bottom = np.interp(x, bottom[:, 0], bottom[:, 1]) - 0.4
    arch = 2.0 * share - 1.0
    t = np.linspace(0, 1, rows)[:, None]
    # texture rows are the visible strip; geometry reaches above it, under the lip
    strip = y_top + t * (y_bottom - y_top)
    lips = np.interp(x, top[:, 0], (top[:, 2] + bottom[:, 2]) / 2)
    if upper:
        y = (y_top - 4.0) + t * (y_bottom - y_top + 4.0)
        depth = np.broadcast_to(lips + 3.2, y.shape)
        brightness = 0.92 - 0.25 * arch**2 - 0.18 * (1 - t) ** 2
    else:
        rest = landmarks[[61, 291], 1].mean() + 7.6 + 1.5 * arch**2
        y = rest + t * 8.0
        strip = strip[::-1]
        depth = np.broadcast_to(lips + 5.0, y.shape)
        brightness = 0.55 - 0.45 * arch**2 - 0.15 * t
    grid_x = np.broadcast_to(x, y.shape)
    texture = texture_position(np.column_stack([grid_x.ravel(), strip.ravel()])) + _SECOND
    shade = np.broadcast_to(brightness, y.shape).ravel()
    head = _place(grid_x, y, depth, frame)
    return Patch(head, texture, shade, 0.0 if upper else 1.0, False, _grid(rows, columns))


def _plain(
    landmarks: np.ndarray, frame: HeadFrame, tile: tuple[int, int], half: tuple[float, float],
    offset: tuple[float, float], jaw: float, shade: np.ndarray, rounded: float = 0.0,
) -> Patch:  # fmt: skip
    corners = landmarks[[61, 291]].mean(axis=0)
    u, v = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9))
    x = corners[0] + half[0] * u
    y = corners[1] + offset[0] + half[1] * v * np.sqrt(1.02 - (u * rounded) ** 2)
    depth = np.full(u.shape, corners[2] + offset[1]) + 1.5 * (u**2 + v**2)
    texture = np.tile(np.array(tile, float) + _SECOND, (u.size, 1))
    return Patch(_place(x, y, depth, frame), texture, shade.ravel(), jaw, False, _grid(9, 9))


def build_cavities(landmarks: Float[np.ndarray, "478 3"], frame: HeadFrame) -> list[Patch]:
    """All patches of a portrait, from front to back."""
    u, v = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9))
    dome = np.clip(0.85 - 0.6 * np.maximum(u**2, v**2), 0.22, 1.0)
    return [
        _eye(landmarks, indices.EYE_RIGHT_UPPER, indices.EYE_RIGHT_LOWER, frame),
        _eye(landmarks, indices.EYE_LEFT_UPPER, indices.EYE_LEFT_LOWER, frame),
        _teeth(landmarks, frame, upper=True),
        _teeth(landmarks, frame, upper=False),
        _plain(landmarks, frame, TONGUE_TILE, (12.0, 6.0), (11.5, 3.0), 0.85, dome, 1.0),
        _plain(landmarks, frame, DARK_TILE, (20.0, 15.0), (11.0, 11.0), 0.0, np.ones(81)),
    ]
