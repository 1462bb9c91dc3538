"""The hash grid over point lists of any layout, for 2D and 3D: the module's CPU back-end.

Slower than the tiles of `hash_tile` (which the fused field uses), and general in the dimension.
"""

from typing import no_type_check

import numpy as np

from render.kernels.jit import kernel


@kernel
@no_type_check
def _corner(
    cell: np.ndarray, corner: int, dims: int, offset: int, entries: int, res: int, dense: bool
) -> int:
    primes = (1, 2654435761, 805459861)
    index = 0
    stride = 1
    for axis in range(dims):
        v = (cell[axis] + ((corner >> axis) & 1)) & 0xFFFFFFFF
        if dense:
            index = (index + v * stride) & 0xFFFFFFFF
            stride *= res
        else:
            index ^= (v * primes[axis]) & 0xFFFFFFFF
    return offset + index % entries


@kernel
@no_type_check
def encode_points(
    lo: int,
    hi: int,
    x: np.ndarray,
    table: np.ndarray,
    geometry: np.ndarray,
    scales: np.ndarray,
    out: np.ndarray,
) -> None:
    """out [N, L F] of points lo..hi of x [N, D]."""
    dims = x.shape[1]
    features = table.shape[1]
    cell = np.empty(3, np.int64)
    frac = np.empty(3, np.float32)
    for level in range(geometry.shape[0]):
        offset, entries, res = geometry[level, 0], geometry[level, 1], geometry[level, 2]
        dense = geometry[level, 3] == 1
        for p in range(lo, hi):
            for axis in range(dims):
                v = x[p, axis] * scales[level] + np.float32(0.5)
                f = np.floor(v)
                cell[axis] = np.int64(f)
                frac[axis] = v - f
            for k in range(features):
                out[p, level * features + k] = 0.0
            for corner in range(1 << dims):
                w = np.float32(1.0)
                for axis in range(dims):
                    upper = (corner >> axis) & 1
                    w *= frac[axis] if upper else np.float32(1.0) - frac[axis]
                j = _corner(cell, corner, dims, offset, entries, res, dense)
                for k in range(features):
                    out[p, level * features + k] += w * table[j, k]


@kernel
@no_type_check
def encode_points_grad(
    level_lo: int,
    level_hi: int,
    x: np.ndarray,
    d_out: np.ndarray,
    table: np.ndarray,
    geometry: np.ndarray,
    scales: np.ndarray,
    d_table: np.ndarray,
    d_x: np.ndarray,
) -> None:
    """Add to d_table and d_x [N, D] what levels level_lo..level_hi contribute.

    Levels own disjoint stretches of the table, so threads that take levels need no locks; each
    thread brings its own d_x.
    """
    dims = x.shape[1]
    features = table.shape[1]
    cell = np.empty(3, np.int64)
    frac = np.empty(3, np.float32)
    for level in range(level_lo, level_hi):
        offset, entries, res = geometry[level, 0], geometry[level, 1], geometry[level, 2]
        dense = geometry[level, 3] == 1
        for p in range(x.shape[0]):
            for axis in range(dims):
                v = x[p, axis] * scales[level] + np.float32(0.5)
                f = np.floor(v)
                cell[axis] = np.int64(f)
                frac[axis] = v - f
            for corner in range(1 << dims):
                j = _corner(cell, corner, dims, offset, entries, res, dense)
                w = np.float32(1.0)
                for axis in range(dims):
                    upper = (corner >> axis) & 1
                    w *= frac[axis] if upper else np.float32(1.0) - frac[axis]
                dot = np.float32(0.0)
                for k in range(features):
                    g = d_out[p, level * features + k]
                    d_table[j, k] += w * g
                    dot += g * table[j, k]
                for axis in range(dims):
                    slope = scales[level] if (corner >> axis) & 1 else -scales[level]
                    for other in range(dims):
                        if other != axis:
                            upper = (corner >> other) & 1
                            slope *= frac[other] if upper else np.float32(1.0) - frac[other]
                    d_x[p, axis] += slope * dot
