"""The portrait as a surface: face, hair and neck as one triangulated sheet with depth.

The sheet reaches from the hair's rim to inside the black collar of the suit. `follow` says how
far a vertex goes with the head: 1 on face and hair, falling to 0 in the collar, so the neck bends
and the body stands still. Mouth and eye openings are cut out; what is behind them has its own
module (`cavities`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.interpolate import RBFInterpolator
from scipy.spatial import Delaunay

from pipeline.samples import indices
from pipeline.samples.frame import HeadFrame, head_frame, lift
from pipeline.samples.polygon import inside
from pipeline.samples.portrait import Portrait

FACE_POINTS = 468
_SPACING = 7.0
_NECK_ROWS = (31, 33, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, 76, 84)
_NECK_RIGHT_SIDE = (-200, -43.2, -42.8, -41.9, -40.8, *(-39.9,) * 5, -39.6, -39.0, -38.5, -38.0)
_NECK_LEFT_SIDE = (
    200,
    42.5,
    41.5,
    40.5,
    39.5,
    37.5,
    34.8,
    33.0,
    32.2,
    31.2,
    30.2,
    29.6,
    29.0,
    28.5,
)
"""Edges of jaw and neck in the photograph, units, by row."""
_FLAT_FROM, _FLAT_REACH = 4.0, 15.0
_HAIR_DEPTH = 20.0
_NECK_DEPTH = 17.0
COLLAR_TOP, COLLAR_END = 84.0, 104.0
"""Rows (units) between which the sheet stops following the head."""


@dataclass(frozen=True)
class Surface:
    """The sheet in the portrait's own expression."""

    picture: Float[np.ndarray, "vertices 2"]
    """Position in the photograph, units; what the texture is sampled by."""
    camera: Float[np.ndarray, "vertices 3"]
    """Camera coordinates; the first 468 are the face mesh."""
    head: Float[np.ndarray, "vertices 3"]
    """The same in head coordinates."""
    follow: Float[np.ndarray, " vertices"]
    """1 moves with the head, 0 stays with the body."""
    triangles: Int[np.ndarray, "triangles 3"]
    frame: HeadFrame
    """Where the head is in the portrait."""


def opening(
    landmarks: np.ndarray, upper: tuple[int, ...], lower: tuple[int, ...]
) -> Float[np.ndarray, "corners 2"]:
    """The polygon between two contours that share their ends, in the photograph."""
    return landmarks[[*upper, *lower[-2:0:-1]], :2]


def head_region(x: np.ndarray, y: np.ndarray, portrait: Portrait) -> np.ndarray:
    """1 where the person is head, neck or collar (not suit or ring), by position in units.

    Above the jaw everything that the matte calls person is head; beside the neck only the neck,
    whose edges were read off the photograph.
    """
    left = np.interp(y, _NECK_ROWS, _NECK_RIGHT_SIDE)
    right = np.interp(y, _NECK_ROWS, _NECK_LEFT_SIDE)
    x = -x if portrait.mirrored else x
    side = 1 / (1 + np.exp(np.maximum(left - x, x - right) / 0.3))
    return np.where(y < COLLAR_END, side, 0.0)


def flatten(depth: np.ndarray) -> np.ndarray:
    """Depth with its far part compressed.

    What the photograph hides round the cheek would have to be stretched out of a few pixels; a
    flatter rim turns without smearing.
    """
    far = np.maximum(depth - _FLAT_FROM, 0)
    return np.minimum(depth, _FLAT_FROM) + _FLAT_REACH * (1 - np.exp(-far / _FLAT_REACH))


def _rim_points(landmarks: np.ndarray) -> np.ndarray:
    rows = np.arange(-118, COLLAR_END + 12, _SPACING * 0.87)
    points = [
        (x, y)
        for i, y in enumerate(rows)
        for x in np.arange(-90 + (i % 2) * _SPACING / 2, 90, _SPACING)
    ]
    grid = np.array(points)
    outside = ~inside(grid, landmarks[list(indices.OVAL), :2])
    near = np.linalg.norm(grid[:, None] - landmarks[None, :FACE_POINTS, :2], axis=2).min(axis=1)
    return grid[outside & (near > 0.55 * _SPACING)]


def _depth_field(landmarks: np.ndarray, portrait: Portrait) -> RBFInterpolator:
    """Depth over the picture: the mesh's own, the back of the hair, the neck, the collar."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    centre = np.array([0.0, -25.0])
    hair = centre + np.column_stack([78 * np.cos(angles), 80 * np.sin(angles)])
    hair = hair[hair[:, 1] < 15]
    chin = landmarks[indices.CHIN]
    neck = np.array(
        [
            (dx, dy)
            for dy in (chin[1] + 7, chin[1] + 18, chin[1] + 40)
            for dx in (-40, -20, 0, 20, 40)
        ]
    )
    neck_z = _NECK_DEPTH + 0.006 * neck[:, 0] ** 2
    spots = np.concatenate([landmarks[:FACE_POINTS, :2], hair, neck])
    depth = np.concatenate(
        [flatten(landmarks[:FACE_POINTS, 2]), np.full(len(hair), _HAIR_DEPTH), neck_z]
    )
    return RBFInterpolator(spots, depth, kernel="thin_plate_spline", smoothing=2.0)


def _between(outline: np.ndarray, pieces: int = 6) -> np.ndarray:
    """Points on an outline's edges, so dense that the triangulation cannot cross it."""
    share = (np.arange(1, pieces) / pieces)[:, None, None]
    return (outline + share * (np.roll(outline, -1, axis=0) - outline)).reshape(-1, 2)


def _subdivide(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, inverse = np.unique(edges, axis=0, return_inverse=True)
    middle = (points[unique[:, 0]] + points[unique[:, 1]]) / 2
    ab, bc, ca = (inverse.reshape(-1, 3) + len(points)).T
    a, b, c = triangles.T
    finer = np.concatenate(
        [np.column_stack(t) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    )
    return np.concatenate([points, middle]), finer


def _outside(
    points: np.ndarray, triangles: np.ndarray, holes: list[np.ndarray]
) -> Bool[np.ndarray, " n"]:
    centres = points[triangles].mean(axis=1)
    keep = np.ones(len(triangles), bool)
    for hole in holes:
        keep &= ~inside(centres, hole)
    return keep


def build_surface(portrait: Portrait) -> Surface:
    """Triangulate the portrait; vertex i < 468 is face-mesh point i."""
    landmarks = portrait.landmarks
    holes = [
        opening(landmarks, indices.LIP_INNER_UPPER, indices.LIP_INNER_LOWER),
        opening(landmarks, indices.EYE_RIGHT_UPPER, indices.EYE_RIGHT_LOWER),
        opening(landmarks, indices.EYE_LEFT_UPPER, indices.EYE_LEFT_LOWER),
    ]
    seams = [_between(hole) for hole in holes]
    points = np.concatenate([landmarks[:FACE_POINTS, :2], _rim_points(landmarks), *seams])
    triangles = Delaunay(points).simplices
    triangles = triangles[_outside(points, triangles, holes)]
    points, triangles = _subdivide(points, triangles)
    depth = _depth_field(landmarks, portrait)(points)
    camera = lift(np.column_stack([points, depth]))
    frame = head_frame(camera)
    fall = np.clip((points[:, 1] - COLLAR_TOP + 14) / (COLLAR_END - COLLAR_TOP + 14), 0, 1)
    follow = 1 - fall * fall * (3 - 2 * fall)
    return Surface(points, camera, frame.to_head(camera), follow, triangles, frame)


def face_length(head: Float[np.ndarray, "vertices 3"]) -> float:
    """Hairline to chin, units: what coefficients are fractions of."""
    return float(np.linalg.norm(head[indices.CHIN] - head[indices.FOREHEAD]))
