"""Multi-resolution hash grid over a tile of 3D points, with tiny-cuda-nn's semantics.

Same parameter order and indices as `render.hash_grid` (whose reference it is tested against):
scale = 2^(l log2 s) base - 1, position scale x + 0.5, dense index where it fits, else the coherent
prime hash; `geometry` rows are (offset, entries, resolution, dense).
"""

from typing import no_type_check

import numpy as np

from render.kernels.jit import kernel

_P1 = np.uint32(2654435761)
_P2 = np.uint32(805459861)


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

    Corner c takes the upper vertex of axis a where bit a of c is set.
    """
    scale = scales[level]
    offset = np.int32(geometry[level, 0])
    entries = np.int32(geometry[level, 1])
    res = np.int32(geometry[level, 2])
    half = np.float32(0.5)
    i0, i1, i2, i3 = index[0], index[1], index[2], index[3]
    i4, i5, i6, i7 = index[4], index[5], index[6], index[7]
    f0, f1, f2 = fraction[0], fraction[1], fraction[2]
    x0, x1, x2 = x[0], x[1], x[2]
    if geometry[level, 3] == 1:
        for p in range(n):
            a = x0[p] * scale + half
            b = x1[p] * scale + half
            c = x2[p] * scale + half
            fa, fb, fc = np.floor(a), np.floor(b), np.floor(c)
            f0[p], f1[p], f2[p] = a - fa, b - fb, c - fc
            j = np.int32(np.int32(fa) + res * np.int32(np.int32(fb) + res * np.int32(fc)))
            k = np.int32(j + 1)
            i0[p] = offset + (j if j < entries else j - entries)
            i1[p] = offset + (k if k < entries else k - entries)
            j = np.int32(j + res)
            k = np.int32(j + 1)
            i2[p] = offset + (j if j < entries else j - entries)
            i3[p] = offset + (k if k < entries else k - entries)
            j = np.int32(j + res * res - res)
            k = np.int32(j + 1)
            i4[p] = offset + (j if j < entries else j - entries)
            i5[p] = offset + (k if k < entries else k - entries)
            j = np.int32(j + res)
            k = np.int32(j + 1)
            i6[p] = offset + (j if j < entries else j - entries)
            i7[p] = offset + (k if k < entries else k - entries)
    else:
        mask = np.uint32(entries - 1)
        for p in range(n):
            a = x0[p] * scale + half
            b = x1[p] * scale + half
            c = x2[p] * scale + half
            fa, fb, fc = np.floor(a), np.floor(b), np.floor(c)
            f0[p], f1[p], f2[p] = a - fa, b - fb, c - fc
            u = np.uint32(np.int32(fa))
            v = np.uint32(np.uint32(np.int32(fb)) * _P1)
            w = np.uint32(np.uint32(np.int32(fc)) * _P2)
            u1 = np.uint32(u + np.uint32(1))
            v1 = np.uint32(v + _P1)
            w1 = np.uint32(w + _P2)
            i0[p] = offset + np.int32((u ^ v ^ w) & mask)
            i1[p] = offset + np.int32((u1 ^ v ^ w) & mask)
            i2[p] = offset + np.int32((u ^ v1 ^ w) & mask)
            i3[p] = offset + np.int32((u1 ^ v1 ^ w) & mask)
            i4[p] = offset + np.int32((u ^ v ^ w1) & mask)
            i5[p] = offset + np.int32((u1 ^ v ^ w1) & mask)
            i6[p] = offset + np.int32((u ^ v1 ^ w1) & mask)
            i7[p] = offset + np.int32((u1 ^ v1 ^ w1) & mask)


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
    """Features of n points: x [3, T] in [0, 1], table [entries, F] -> out [L F, T].

    Keeps corner indices [L, 8, T] and fractions [L, 3, T] for the backward pass.
    """
    one = np.float32(1.0)
    features = table.shape[1]
    for level in range(geometry.shape[0]):
        locate(x, geometry, scales, level, n, index[level], fraction[level])
        at = index[level]
        f = fraction[level]
        for p in range(n):
            a, b, c = f[0, p], f[1, p], f[2, p]
            a1, b1, c1 = one - a, one - b, one - c
            b1c1, bc1, b1c, bc = b1 * c1, b * c1, b1 * c, b * c
            j0, j1, j2, j3 = at[0, p], at[1, p], at[2, p], at[3, p]
            j4, j5, j6, j7 = at[4, p], at[5, p], at[6, p], at[7, p]
            for k in range(features):
                low = a1 * table[j0, k] + a * table[j1, k]
                front = b1c1 * low + bc1 * (a1 * table[j2, k] + a * table[j3, k])
                low = a1 * table[j4, k] + a * table[j5, k]
                out[level * features + k, p] = (
                    front + b1c * low + bc * (a1 * table[j6, k] + a * table[j7, k])
                )


@kernel
@no_type_check
def encode_grad(
    d_out: np.ndarray,
    table: np.ndarray,
    scales: np.ndarray,
    n: int,
    index: np.ndarray,
    fraction: np.ndarray,
    d_table: np.ndarray,
    d_x: np.ndarray,
    with_position: bool,
) -> None:
    """Add the gradients of the table [entries, F] and, if asked, set those of positions [3, T]."""
    one = np.float32(1.0)
    zero = np.float32(0.0)
    features = table.shape[1]
    if with_position:
        for p in range(n):
            d_x[0, p] = 0.0
            d_x[1, p] = 0.0
            d_x[2, p] = 0.0
    for level in range(index.shape[0]):
        at = index[level]
        f = fraction[level]
        scale = scales[level]
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
            for k in range(features):
                g = d_out[level * features + k, p]
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
