"""Frames whose camera contradicts their picture: a pose that slipped would blur the whole head.

A head is rigid: seen from every camera its mask must lie around one point of the world and be of
one height. Both are medians over all frames, so a few wild ones do not move them.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from render.cameras import project
from render.masks import head_mask

ASIDE = 0.35
"""Heights of the head by which a mask's centre may lie beside where the camera puts it."""
TALLER = 1.5
"""Ratio by which a head may be taller or shorter than the median one."""
SKEW = 0.05
"""How far R Rᵀ may be from the identity."""


def pose_outliers(
    labels: UInt8[np.ndarray, "frames s s"],
    cameras: Float[np.ndarray, "frames 3 4"],
    focal: float,
) -> Bool[np.ndarray, " frames"]:
    """Frames to leave out; all frames need a finite camera and a head."""
    if len(labels) == 0:
        return np.zeros(0, bool)
    size = labels.shape[1]
    centres, heights = np.empty((len(labels), 2)), np.empty(len(labels))
    for i, image in enumerate(labels):
        mask = head_mask(image)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        heights[i] = rows[-1] + 1 - rows[0]
        centres[i] = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2
    rotations, t = cameras[:, :, :3].astype(np.float64), cameras[:, :, 3].astype(np.float64)
    square = np.einsum("fij,fkj->fik", rotations, rotations) - np.eye(3)
    skewed = (np.abs(square).max((1, 2)) > SKEW) | (np.linalg.det(rotations) < 0) | (t[:, 2] <= 0)
    good = ~skewed
    if not good.any():
        return skewed
    depth = np.where(good, t[:, 2], 1.0)
    at = np.concatenate([(centres - size / 2) / focal * depth[:, None], depth[:, None]], 1)
    world = np.einsum("fji,fj->fi", rotations, at - t)
    middle = np.median(world[good], axis=0)
    predicted = np.array([project(middle[None], c, focal, size)[0] for c in cameras.astype(float)])
    aside = np.linalg.norm(predicted - centres, axis=1) / heights
    tall = heights * depth
    ratio = tall / np.median(tall[good])
    return skewed | (aside > ASIDE) | (ratio > TALLER) | (ratio < 1 / TALLER)
