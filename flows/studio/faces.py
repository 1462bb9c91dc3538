"""Where the landmarks go when the expression moves: a linear map, learnt from an identity's clips.

The semantic coefficients are measured on some landmarks and say nothing of four hundred others.
What those do when a coefficient changes is learnt from the identity's stored frames by ridge
regression; `explained` says how much of the landmarks' movement the map accounts for.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from flows.errors import NothingToDo
from flows.inspection.clip import planes_of
from flows.studio.library import Library
from pipeline.face.indices import (
    LEFT_BROW,
    LEFT_EYE,
    LIPS_INNER,
    LIPS_OUTER,
    OVAL,
    RIGHT_BROW,
    RIGHT_EYE,
)
from pipeline.face.semantic import upright
from pipeline.hyperplanes import HyperplaneSet

CLIPS = 16
"""Clips of an identity that are read, evenly over all of them."""
FRAMES = 40
"""Frames of each."""
RIDGE = 1.0
"""Penalty in whitened units: a coefficient that hardly varies moves hardly anything."""
LOOPS = tuple(
    loop.tolist()
    for loop in (OVAL, LIPS_OUTER, LIPS_INNER, RIGHT_EYE, LEFT_EYE, RIGHT_BROW, LEFT_BROW)
)
"""Outlines that are drawn, as indices of landmarks."""


@dataclass(frozen=True)
class Face:
    """How one identity's face moves."""

    identity: str
    planes: HyperplaneSet
    mean: Float[np.ndarray, "points 2"]
    """Landmarks at the identity's mean expression: x right, y down, about -2 to 2."""
    moves: Float[np.ndarray, "k points 2"]
    """Their change for one whitened unit of each coefficient."""
    explained: float
    """Share of the landmarks' variance that the coefficients account for, on these frames."""
    frames: int
    """Frames it was learnt from."""
    at_rest: Float[np.ndarray, " k"]
    """Mean whitened expression of the neutral frames; of all, where none are neutral."""

    def expression(self, steps: dict[str, float]) -> Float[np.ndarray, " k"]:
        """Whitened coefficients after moving from rest by `steps` along the emotions' normals."""
        moved = self.at_rest.copy()
        for tag, step in steps.items():
            moved = moved + step * self.planes.plane(tag).w
        return moved

    def margins(self, alpha: Float[np.ndarray, " k"]) -> dict[str, float]:
        """Signed distance from every plane; above 0 is the emotion."""
        return {tag: float(alpha @ p.w + p.b) for tag, p in sorted(self.planes.planes.items())}

    def points(self, alpha: Float[np.ndarray, " k"]) -> Float[np.ndarray, "points 2"]:
        """Landmarks of an expression."""
        return self.mean + np.tensordot(alpha, self.moves, axes=1)


def learn_face(library: Library, identity: str) -> Face:
    """Learn how an identity's landmarks follow its coefficients.

    Raises:
        NothingToDo: the identity has no hyperplanes, or too few frames with landmarks and pose.
    """
    expression = library.names.expression
    with library.lock:
        planes = planes_of(library.snapshot, library.dataset, identity, expression)
    if planes is None or not planes.planes:
        raise NothingToDo(
            f"{identity!r} has no emotion hyperplanes in this snapshot; run `emohead "
            "fit-hyperplanes` on clips of at least two emotions"
        )
    needed = (expression, "face/landmarks", library.names.camera)
    clips = [
        entry
        for entry in library.entries
        if entry.identity == identity
        and entry.frames
        and all(library.has(entry.clip_id, name) for name in needed)
    ]
    pick = np.unique(np.linspace(0, len(clips) - 1, min(CLIPS, len(clips))).astype(int))
    alphas, faces, calm = [], [], []
    for at in pick if clips else ():
        entry = clips[at]
        raw, points, cameras = (library.read(entry.clip_id, name) for name in needed)
        rows = np.unique(np.linspace(0, len(raw) - 1, min(FRAMES, len(raw))).astype(int))
        good = rows[
            np.isfinite(raw[rows]).all(axis=1)
            & np.isfinite(points[rows]).all(axis=(1, 2))
            & np.isfinite(cameras[rows]).all(axis=(1, 2))
        ]
        alphas.append(planes.whitening.whiten(raw[good].astype(np.float64)))
        faces.append(upright(points[good], cameras[good])[..., :2].astype(np.float64))
        calm.append(np.full(len(good), entry.emotion in ("neutral", "calm")))
    count = sum(map(len, alphas))
    if count < 2 * planes.whitening.k:
        raise NothingToDo(
            f"{identity!r} has {count} frames with landmarks, pose and {expression}; "
            f"{2 * planes.whitening.k} are needed to learn how its face moves"
        )
    alpha, face, quiet = np.concatenate(alphas), np.concatenate(faces), np.concatenate(calm)
    mean, moves, explained = ridge(alpha, face.reshape(count, -1))
    rest = alpha[quiet] if quiet.any() else alpha
    return Face(
        identity,
        planes,
        mean.reshape(-1, 2),
        moves.reshape(len(moves), -1, 2),
        explained,
        count,
        rest.mean(axis=0),
    )


def ridge(
    x: Float[np.ndarray, "n k"], y: Float[np.ndarray, "n m"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "k m"], float]:
    """y ≈ intercept + x @ slopes, and the share of y's variance that it explains."""
    x0, y0 = x.mean(axis=0), y.mean(axis=0)
    a, b = x - x0, y - y0
    slopes = np.linalg.solve(a.T @ a + RIDGE * np.eye(x.shape[1]), a.T @ b)
    left = float(((b - a @ slopes) ** 2).sum())
    return y0 - x0 @ slopes, slopes, 1 - left / max(float((b**2).sum()), 1e-12)
