"""Temporal jitter: how much landmarks tremble, whatever way the face moves."""

import numpy as np
from jaxtyping import Float

from render.errors import MetricError
from render.metrics.landmark_error import eye_distance


def jitter(points: Float[np.ndarray, "frames 68 2"]) -> tuple[float, int]:
    """Mean length of the second difference of the landmarks over the mean eye distance, per cent.

    J = 100 · mean over i, p of |x_{i+1,p} − 2 x_{i,p} + x_{i−1,p}| / d. A face that stands still or
    glides gives 0; one that jumps ±a from frame to frame gives 4a/d. The detector's own trembling
    is inside, so a figure means something beside the reference's.

    Returns:
        The figure, and the triples of consecutive frames with a face it is a mean over.

    Raises:
        MetricError: no three consecutive frames show a face.
    """
    bends = np.linalg.norm(points[2:] - 2 * points[1:-1] + points[:-2], axis=2).mean(1)
    seen = np.isfinite(bends)
    if not seen.any():
        raise MetricError(f"no three consecutive frames with a face among {len(points)}")
    return float(100 * bends[seen].mean() / np.nanmean(eye_distance(points))), int(seen.sum())
