"""Points in a polygon, by counting crossings."""

import numpy as np
from jaxtyping import Bool, Float


def inside(
    points: Float[np.ndarray, "points 2"], polygon: Float[np.ndarray, "corners 2"]
) -> Bool[np.ndarray, " points"]:
    """True for the points that lie in the polygon (even-odd rule)."""
    x, y = points[:, :1], points[:, 1:]
    x0, y0 = polygon.T
    x1, y1 = np.roll(polygon, -1, axis=0).T
    spans = (y0 > y) != (y1 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = x < (x1 - x0) * (y - y0) / (y1 - y0) + x0
    return (spans & crossing).sum(axis=1) % 2 == 1
