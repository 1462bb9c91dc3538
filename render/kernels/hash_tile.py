"""Multi-resolution hash grid over a tile of 3D points, with tiny-cuda-nn's semantics.

Same parameter order and indices as `render.hash_grid` (whose reference it is tested against):
scale = 2^(l log2 s) base - 1, position scale x + 0.5, dense index where it fits, else the coherent
prime hash; `geometry` rows are (offset, entries, resolution, dense). Entries of 2, 4 or 8 features
are read as vectors (`hash_vectors`), others one value at a time.
"""

from typing import no_type_check

import numpy as np

from render.kernels.hash_vectors import (
    interpolate,
    locate_dense,
    locate_hashed,
    spread,
    spread_and_pull,
)
from render.kernels.jit import kernel


@kernel
@no_type_check
def locate(
    x: np.ndarray,
    geometry: np.ndarray,
    scales: np.ndarray,
    level: int,
    n: int,
    index: np.ndarray,
    fraction: np.ndarray,
) -> None:
    """Corner entries (index [8, T], level offset included) and fractions [3, T] of one level.

    Corner c takes the upper vertex of axis a where bit a of c is set. Written in whole vectors: T
    is a multiple of eight.
    """
    offset, entries, res = geometry[level, 0], geometry[level, 1], geometry[level, 2]
    if geometry[level, 3] == 1:
        locate_dense(x, scales[level], offset, entries, res, n, index, fraction)
    else:
        locate_hashed(x, scales[level], offset, entries, n, index, fraction)


@kernel
@no_type_check
def encode_level(
    level: int,
    x: np.ndarray,
    table: np.ndarray,
    geometry: np.ndarray,
    scales: np.ndarray,
    n: int,
    index: np.ndarray,
    fraction: np.ndarray,
    out: np.ndarray,
) -> None:
    """One level's features of n points: x [3, T] in [0, 1], table [entries, F] -> out [L F, T].

    index [8, T] and fraction [3, T] are scratch.
    """
    features = table.shape[1]
    locate(x, geometry, scales, level, n, index, fraction)
    row = level * features
    if features == 2:
        interpolate(2, index, fraction, table, out, row, n)
    elif features == 4:
        interpolate(4, index, fraction, table, out, row, n)
    elif features == 8:
        interpolate(8, index, fraction, table, out, row, n)
    else:
        _interpolate(index, fraction, table, out, row, n)


@kernel
@no_type_check
def encode(
    x: np.ndarray,
    table: np.ndarray,
    geometry: np.ndarray,
    scales: np.ndarray,
    n: int,
    index: np.ndarray,
    fraction: np.ndarray,
    out: np.ndarray,
) -> None:
    """All levels of one tile."""
    for level in range(geometry.shape[0]):
        encode_level(level, x, table, geometry, scales, n, index, fraction, out)


@kernel
@no_type_check
def _interpolate(
    at: np.ndarray, f: np.ndarray, table: np.ndarray, out: np.ndarray, row: int, n: int
) -> None:
    one = np.float32(1.0)
    for p in range(n):
        a, b, c = f[0, p], f[1, p], f[2, p]
        a1, b1, c1 = one - a, one - b, one - c
        b1c1, bc1, b1c, bc = b1 * c1, b * c1, b1 * c, b * c
        j0, j1, j2, j3 = at[0, p], at[1, p], at[2, p], at[3, p]
        j4, j5, j6, j7 = at[4, p], at[5, p], at[6, p], at[7, p]
        for k in range(table.shape[1]):
            low = a1 * table[j0, k] + a * table[j1, k]
            front = b1c1 * low + bc1 * (a1 * table[j2, k] + a * table[j3, k])
            low = a1 * table[j4, k] + a * table[j5, k]
            out[row + k, p] = front + b1c * low + bc * (a1 * table[j6, k] + a * table[j7, k])


@kernel
@no_type_check
def encode_grad_level(
    level: int,
    x: np.ndarray,
    d_out: np.ndarray,
    table: np.ndarray,
    geometry: np.ndarray,
    scales: np.ndarray,
    n: int,
    index: np.ndarray,
    fraction: np.ndarray,
    d_table: np.ndarray,
    d_x: np.ndarray,
    with_position: bool,
) -> None:
    """Add the gradients of one level's entries and, if asked, of the positions [3, T].

    Corners are located again: that is cheaper than having kept them.
    """
    features = table.shape[1]
    locate(x, geometry, scales, level, n, index, fraction)
    row = level * features
    scale = scales[level]
    if with_position:
        if features == 2:
            spread_and_pull(2, d_out, row, index, fraction, n, d_table, table, scale, d_x)
        elif features == 4:
            spread_and_pull(4, d_out, row, index, fraction, n, d_table, table, scale, d_x)
        elif features == 8:
            spread_and_pull(8, d_out, row, index, fraction, n, d_table, table, scale, d_x)
        else:
            _spread(d_out, row, index, fraction, n, d_table, table, scale, d_x, True)
    elif features == 2:
        spread(2, d_out, row, index, fraction, n, d_table)
    elif features == 4:
        spread(4, d_out, row, index, fraction, n, d_table)
    elif features == 8:
        spread(8, d_out, row, index, fraction, n, d_table)
    else:
        _spread(d_out, row, index, fraction, n, d_table, table, scale, d_x, False)


@kernel
@no_type_check
def _spread(
    d_out: np.ndarray,
    row: int,
    at: np.ndarray,
    f: np.ndarray,
    n: int,
    d_table: np.ndarray,
    table: np.ndarray,
    scale: float,
    d_x: np.ndarray,
    with_position: bool,
) -> None:
    one = np.float32(1.0)
    zero = np.float32(0.0)
    for p in range(n):
        a, b, c = f[0, p], f[1, p], f[2, p]
        a1, b1, c1 = one - a, one - b, one - c
        b1c1, bc1, b1c, bc = b1 * c1, b * c1, b1 * c, b * c
        j0, j1, j2, j3 = at[0, p], at[1, p], at[2, p], at[3, p]
        j4, j5, j6, j7 = at[4, p], at[5, p], at[6, p], at[7, p]
        w0, w1, w2, w3 = a1 * b1c1, a * b1c1, a1 * bc1, a * bc1
        w4, w5, w6, w7 = a1 * b1c, a * b1c, a1 * bc, a * bc
        # s_c: this corner's features along the gradient; a change of weight w_c moves the loss
        # by s_c.
        s0, s1, s2, s3 = zero, zero, zero, zero
        s4, s5, s6, s7 = zero, zero, zero, zero
        for k in range(table.shape[1]):
            g = d_out[row + k, p]
            if with_position:
                s0 += g * table[j0, k]
                s1 += g * table[j1, k]
                s2 += g * table[j2, k]
                s3 += g * table[j3, k]
                s4 += g * table[j4, k]
                s5 += g * table[j5, k]
                s6 += g * table[j6, k]
                s7 += g * table[j7, k]
            d_table[j0, k] += w0 * g
            d_table[j1, k] += w1 * g
            d_table[j2, k] += w2 * g
            d_table[j3, k] += w3 * g
            d_table[j4, k] += w4 * g
            d_table[j5, k] += w5 * g
            d_table[j6, k] += w6 * g
            d_table[j7, k] += w7 * g
        if with_position:
            e00 = a1 * s0 + a * s1
            e10 = a1 * s2 + a * s3
            e01 = a1 * s4 + a * s5
            e11 = a1 * s6 + a * s7
            gx = b1c1 * (s1 - s0) + bc1 * (s3 - s2) + b1c * (s5 - s4) + bc * (s7 - s6)
            gy = c1 * (e10 - e00) + c * (e11 - e01)
            gz = b1 * (e01 - e00) + b * (e11 - e10)
            d_x[0, p] += gx * scale
            d_x[1, p] += gy * scale
            d_x[2, p] += gz * scale
