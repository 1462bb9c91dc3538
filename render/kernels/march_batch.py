"""Marching a batch of rays to packed samples, for the PyTorch path."""

from typing import no_type_check

import numpy as np

from render.kernels.jit import kernel
from render.kernels.ray_tile import enter_box, march


@kernel
@no_type_check
def march_batch(
    origins: np.ndarray,
    directions: np.ndarray,
    jitter: np.ndarray,
    occupied: np.ndarray,
    step: float,
    max_samples: int,
    ts: np.ndarray,
    ray: np.ndarray,
) -> int:
    """Fill ts and ray with the samples of all rays in order; returns their number."""
    n = np.int64(0)
    for r in range(len(origins)):
        near, far = enter_box(origins[r], directions[r])
        if near < far:
            t = near + jitter[r] * np.float32(step)
            count, t = march(origins[r], directions[r], t, far, step, occupied, ts, n, max_samples)
            for p in range(n, n + count):
                ray[p] = r
            n += count
    return n
