"""A dense grid that answers linearly to the expression: out(x, α) = sum_k α_k E_k(x).

Channels 0-2 are a displacement of the point, the rest ambient features. Layout of a vertex:
[channel, coefficient], so one corner is one contiguous row of C K values.
"""

from typing import no_type_check

import numpy as np

from render.kernels.jit import kernel


@kernel
@no_type_check
def expression(
    x: np.ndarray,
    alpha: np.ndarray,
    ray: np.ndarray,
    grid: np.ndarray,
    res: int,
    n: int,
    row: np.ndarray,
    out: np.ndarray,
) -> None:
    """Value [C, T] of n points x [3, T] in [0, 1] with the coefficients alpha [rays, K] of their
    ray.

    grid is [res^3, C K], `row` a scratch row [C K]. Vertices stand at i / (res - 1).
    """
    one = np.float32(1.0)
    k = alpha.shape[1]
    side = np.float32(res - 1)
    for p in range(n):
        a = x[0, p] * side
        b = x[1, p] * side
        c = x[2, p] * side
        i = min(np.int32(a), np.int32(res - 2))
        j = min(np.int32(b), np.int32(res - 2))
        m = min(np.int32(c), np.int32(res - 2))
        a, b, c = a - np.float32(i), b - np.float32(j), c - np.float32(m)
        a1, b1, c1 = one - a, one - b, one - c
        v = i + res * (j + res * m)
        r0, r1 = grid[v], grid[v + 1]
        r2, r3 = grid[v + res], grid[v + res + 1]
        v += res * res
        r4, r5 = grid[v], grid[v + 1]
        r6, r7 = grid[v + res], grid[v + res + 1]
        w0, w1, w2, w3 = a1 * b1 * c1, a * b1 * c1, a1 * b * c1, a * b * c1
        w4, w5, w6, w7 = a1 * b1 * c, a * b1 * c, a1 * b * c, a * b * c
        for q in range(row.shape[0]):
            low = w0 * r0[q] + w1 * r1[q] + w2 * r2[q] + w3 * r3[q]
            row[q] = low + w4 * r4[q] + w5 * r5[q] + w6 * r6[q] + w7 * r7[q]
        coefficients = alpha[ray[p]]
        for channel in range(out.shape[0]):
            s = np.float32(0.0)
            base = channel * k
            for q in range(k):
                s += coefficients[q] * row[base + q]
            out[channel, p] = s


@kernel
@no_type_check
def expression_grad(
    d_out: np.ndarray,
    x: np.ndarray,
    alpha: np.ndarray,
    ray: np.ndarray,
    res: int,
    n: int,
    row: np.ndarray,
    d_grid: np.ndarray,
) -> None:
    """Add the gradient of the grid [res^3, C K] for d_out [C, T]."""
    one = np.float32(1.0)
    k = alpha.shape[1]
    side = np.float32(res - 1)
    for p in range(n):
        a = x[0, p] * side
        b = x[1, p] * side
        c = x[2, p] * side
        i = min(np.int32(a), np.int32(res - 2))
        j = min(np.int32(b), np.int32(res - 2))
        m = min(np.int32(c), np.int32(res - 2))
        a, b, c = a - np.float32(i), b - np.float32(j), c - np.float32(m)
        a1, b1, c1 = one - a, one - b, one - c
        coefficients = alpha[ray[p]]
        for channel in range(d_out.shape[0]):
            g = d_out[channel, p]
            base = channel * k
            for q in range(k):
                row[base + q] = g * coefficients[q]
        v = i + res * (j + res * m)
        _add(d_grid[v], d_grid[v + 1], row, a1 * b1 * c1, a * b1 * c1)
        _add(d_grid[v + res], d_grid[v + res + 1], row, a1 * b * c1, a * b * c1)
        v += res * res
        _add(d_grid[v], d_grid[v + 1], row, a1 * b1 * c, a * b1 * c)
        _add(d_grid[v + res], d_grid[v + res + 1], row, a1 * b * c, a * b * c)


@kernel
@no_type_check
def _add(left: np.ndarray, right: np.ndarray, row: np.ndarray, wl: float, wr: float) -> None:
    for q in range(row.shape[0]):
        left[q] += wl * row[q]
    for q in range(row.shape[0]):
        right[q] += wr * row[q]
