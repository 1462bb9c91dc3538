"""Feature vectors over time as a picture."""

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8

ABSENT = (60, 60, 66)
"""Grey: no value, which is not a low value."""


def heat_map(values: Float[np.ndarray, "steps dim"]) -> UInt8[np.ndarray, "dim steps 3"]:
    """Time to the right, dimensions upwards, each dimension over its own range.

    The range is that of the middle 98 % of its values: one spike would grey out the rest.
    """
    table = (matplotlib.colormaps["viridis"](np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)
    finite = np.isfinite(values)
    picture = np.empty((*values.shape, 3), np.uint8)
    picture[:] = ABSENT
    if finite.any():
        known = np.where(finite, values, np.nan)
        seen = finite.any(axis=0)
        low, high = np.zeros(values.shape[1]), np.ones(values.shape[1])
        low[seen], high[seen] = np.nanpercentile(known[:, seen], [1, 99], axis=0)
        level = (np.where(finite, values, 0) - low) / np.maximum(high - low, 1e-9)
        picture[finite] = table[(np.clip(level, 0, 1) * 255).astype(np.uint8)][finite]
    return np.ascontiguousarray(picture.transpose(1, 0, 2)[::-1])
