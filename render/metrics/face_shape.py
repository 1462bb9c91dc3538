"""Whether two videos show the same face, by the shape of what does not move.

Not a face recogniser: it compares bones, as far as a face mesh sees them in one camera.
"""

import numpy as np
from jaxtyping import Float

from pipeline.face.indices import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS, RIGID
from render.errors import MetricError


def mean_shape(landmarks: Float[np.ndarray, "frames mesh 3"]) -> Float[np.ndarray, "points 3"]:
    """Rigid landmarks of the frames with a face, brought over each other, averaged.

    Each frame is moved, turned and scaled (Procrustes) onto the first, then all onto their mean;
    centroid 0, RMS distance from it 1.

    Raises:
        MetricError: no frame has a face.
    """
    seen = np.isfinite(landmarks[:, 0, 0])
    if not seen.any():
        raise MetricError(f"no face in any of {len(landmarks)} frames")
    shapes = normalised(landmarks[seen][:, RIGID].astype(np.float64))
    target = shapes[0]
    for _ in range(3):
        turned = shapes @ rotations(shapes, target)
        target = normalised(turned.mean(0)[None])[0]
    return target


def likeness(
    a: Float[np.ndarray, "points 3"], b: Float[np.ndarray, "points 3"]
) -> tuple[float, float]:
    """(cosine, distance) of two mean shapes.

    Cosine: between their deviations from the canonical face, after each was turned onto it: 1 the
    same deviation, 0 unrelated, −1 opposite. Distance: RMS over points after turning a onto b, in
    per cent of b's distance of outer eye corners.
    """
    canonical = canonical_shape()
    first = a @ rotations(a[None], canonical)[0] - canonical
    second = b @ rotations(b[None], canonical)[0] - canonical
    scale = np.linalg.norm(first) * np.linalg.norm(second)
    cosine = float((first * second).sum() / scale) if scale > 0 else 1.0
    apart = a @ rotations(a[None], b)[0] - b
    eyes = np.linalg.norm(b[_place(RIGHT_EYE_CORNERS[0])] - b[_place(LEFT_EYE_CORNERS[0])])
    return cosine, float(100 * np.sqrt((apart**2).sum(1).mean()) / eyes)


def canonical_shape() -> Float[np.ndarray, "points 3"]:
    """The mean face every deviation is taken from."""
    from pipeline.face.template import template

    return normalised(template()[RIGID][None])[0]


def normalised(shapes: Float[np.ndarray, "n points 3"]) -> Float[np.ndarray, "n points 3"]:
    """Centroid 0, RMS distance from it 1."""
    centred = shapes - shapes.mean(1, keepdims=True)
    spread = np.sqrt((centred**2).sum(2).mean(1))
    return centred / spread[:, None, None]


def rotations(
    shapes: Float[np.ndarray, "n points 3"], target: Float[np.ndarray, "points 3"]
) -> Float[np.ndarray, "n 3 3"]:
    """R of each shape with shape @ R nearest to the target (Kabsch; no mirroring)."""
    u, _, vt = np.linalg.svd(np.swapaxes(shapes, 1, 2) @ target)
    sign = np.sign(np.linalg.det(u @ vt))
    u[:, :, 2] *= sign[:, None]
    return u @ vt


def _place(index: int) -> int:
    """Where a face-mesh index stands among the rigid ones."""
    return int(np.flatnonzero(index == RIGID)[0])
