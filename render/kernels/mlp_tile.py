"""Small dense layers without bias over a tile of points, forward and backward.

Widths are multiples of four (the field pads them), so four inputs are read at a time: one store
for four multiply-adds, which keeps the loop bound by arithmetic, not by loads.
"""

from typing import no_type_check

import numpy as np

from render.kernels.jit import kernel


@kernel
@no_type_check
def linear(w: np.ndarray, x: np.ndarray, y: np.ndarray, n: int) -> None:
    """y[o, p] = sum_i w[o, i] x[i, p] for the first n points."""
    for o in range(0, w.shape[0], 2):
        y0 = y[o]
        y1 = y[o + 1]
        for p in range(n):
            y0[p] = 0.0
            y1[p] = 0.0
        for i in range(0, w.shape[1], 4):
            a0, a1, a2, a3 = w[o, i], w[o, i + 1], w[o, i + 2], w[o, i + 3]
            b0, b1, b2, b3 = w[o + 1, i], w[o + 1, i + 1], w[o + 1, i + 2], w[o + 1, i + 3]
            x0 = x[i]
            x1 = x[i + 1]
            x2 = x[i + 2]
            x3 = x[i + 3]
            for p in range(n):
                y0[p] += a0 * x0[p] + a1 * x1[p] + a2 * x2[p] + a3 * x3[p]
                y1[p] += b0 * x0[p] + b1 * x1[p] + b2 * x2[p] + b3 * x3[p]


@kernel
@no_type_check
def linear_input_grad(wt: np.ndarray, dy: np.ndarray, dx: np.ndarray, n: int) -> None:
    """dx[i, p] = sum_o wt[i, o] dy[o, p]; wt is the transposed weight."""
    linear(wt, dy, dx, n)


@kernel
@no_type_check
def linear_weight_grad(dy: np.ndarray, x: np.ndarray, dw: np.ndarray, n: int) -> None:
    """dw[o, i] += sum_p dy[o, p] x[i, p]."""
    for o in range(dw.shape[0]):
        g = dy[o]
        for i in range(0, dw.shape[1], 4):
            x0 = x[i]
            x1 = x[i + 1]
            x2 = x[i + 2]
            x3 = x[i + 3]
            s0 = np.float32(0.0)
            s1 = np.float32(0.0)
            s2 = np.float32(0.0)
            s3 = np.float32(0.0)
            for p in range(n):
                s0 += g[p] * x0[p]
                s1 += g[p] * x1[p]
                s2 += g[p] * x2[p]
                s3 += g[p] * x3[p]
            dw[o, i] += s0
            dw[o, i + 1] += s1
            dw[o, i + 2] += s2
            dw[o, i + 3] += s3


@kernel
@no_type_check
def relu(x: np.ndarray, n: int) -> None:
    """In place; a NaN stays one. (A product, because LLVM does not vectorise the choice here.)"""
    for o in range(x.shape[0]):
        row = x[o]
        for p in range(n):
            v = row[p]
            row[p] = v * np.float32(v > np.float32(0.0))


@kernel
@no_type_check
def relu_grad(activated: np.ndarray, grad: np.ndarray, n: int) -> None:
    """Zero the gradient where the activated value is zero, in place."""
    for o in range(grad.shape[0]):
        a = activated[o]
        g = grad[o]
        for p in range(n):
            g[p] = g[p] if a[p] > 0.0 else np.float32(0.0)


@kernel
@no_type_check
def exponential(x: np.ndarray, n: int) -> None:
    """In place e^x, relative error below 3e-7, vectorised (libm's is one value at a time).

    Range-reduced polynomial: e^x = 2^k e^r with |r| <= ln2 / 2. Arguments are held to [-80, 80];
    NaN stays NaN.
    """
    for p in range(n):
        v = x[p] if x[p] > np.float32(-80.0) else np.float32(-80.0)
        v = v if v < np.float32(80.0) else np.float32(80.0)
        k = np.floor(v * np.float32(1.4426950408889634) + np.float32(0.5))
        r = v - k * np.float32(0.693359375) + k * np.float32(2.12194440e-4)
        q = np.float32(1.9875691500e-4)
        q = q * r + np.float32(1.3981999507e-3)
        q = q * r + np.float32(8.3334519073e-3)
        q = q * r + np.float32(4.1665795894e-2)
        q = q * r + np.float32(1.6666665459e-1)
        q = q * r + np.float32(5.0000001201e-1)
        q = q * r * r + r + np.float32(1.0)
        half = np.int32(k) >> 1
        rest = np.int32(k) - half
        q *= _power_of_two(half) * _power_of_two(rest)
        x[p] = q if x[p] == x[p] else x[p]


@kernel
@no_type_check
def _power_of_two(k: int) -> float:
    one = np.float32(1.0)
    if k >= 0:
        return one * np.float32(np.int64(1) << np.int64(k))
    return one / np.float32(np.int64(1) << np.int64(-k))
