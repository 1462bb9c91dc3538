"""The head's own axes: x to the person's left, y to the chin, z to the back of the head."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pipeline.samples import indices
from pipeline.samples.portrait import WINDOW

FOCAL_FACTOR = 4.0
"""Focal length over the side of the frame; the same as the pose encoder's default."""
DISTANCE = FOCAL_FACTOR * WINDOW
"""From the camera to z = 0, units: a unit there is one window pixel."""
_CENTRE_DEPTH = 20.0


@dataclass(frozen=True)
class HeadFrame:
    """Where the head of the portrait is: camera = rotation @ head + translation, in units."""

    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, "3"]

    def to_head(self, camera: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        """Camera coordinates to head coordinates."""
        return (camera - self.translation) @ self.rotation


def lift(picture: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
    """Picture position and depth (units) to the camera coordinates that project onto it."""
    depth = DISTANCE + picture[:, 2]
    return np.column_stack([picture[:, :2] * (depth / DISTANCE)[:, None], depth])


def head_frame(points: Float[np.ndarray, "points 3"]) -> HeadFrame:
    """Axes of a face from its landmarks in camera coordinates; the portrait's pitch counts as 0."""
    right, left = np.array(indices.MIRROR_PAIRS).T
    x = (points[left] - points[right]).sum(axis=0)
    x /= np.linalg.norm(x)
    down = points[indices.CHIN] - points[indices.FOREHEAD]
    down[2] = 0.0
    y = down - (down @ x) * x
    y /= np.linalg.norm(y)
    rotation = np.column_stack([x, y, np.cross(x, y)])
    eyes = points[[33, 133, 263, 362]].mean(axis=0)
    mouth = points[[61, 291]].mean(axis=0)
    centre = 0.6 * eyes + 0.4 * mouth
    centre[2] = DISTANCE + _CENTRE_DEPTH
    return HeadFrame(rotation, centre)
