"""Small dense layers without bias over a tile of points, forward and backward; e^x.

Widths are multiples of four (the field pads them). The products work in whole vectors of eight
points: columns behind the last point are zero before a layer and zero after it.
"""

from typing import no_type_check

import numpy as np

from render.kernels.jit import kernel
from render.kernels.mlp_vectors import add_outer, product, product_gated, product_relu
from render.kernels.vectors import power_of_two


@kernel
@no_type_check
def linear(w: np.ndarray, x: np.ndarray, y: np.ndarray, rows: int, n: int) -> None:
    """y[o, p] = sum_i w[o, i] x[i, p] for the first rows of w and n points."""
    product(w, x, y, rows, n)


@kernel
@no_type_check
def linear_relu(w: np.ndarray, x: np.ndarray, y: np.ndarray, n: int) -> None:
    """The same for all rows, negative values set to zero; a NaN stays one."""
    product_relu(w, x, y, w.shape[0], n)


@kernel
@no_type_check
def linear_gated(
    w: np.ndarray, x: np.ndarray, y: np.ndarray, activated: np.ndarray, n: int
) -> None:
    """The same for all rows, zero where the activated value is zero (a ReLU's way back)."""
    product_gated(w, x, y, activated, w.shape[0], n)


@kernel
@no_type_check
def linear_weight_grad(dy: np.ndarray, x: np.ndarray, dw: np.ndarray, n: int) -> None:
    """dw[o, i] += sum_p dy[o, p] x[i, p]."""
    add_outer(dy, x, dw, n)


@kernel
@no_type_check
def clear_behind(x: np.ndarray, rows: int, n: int) -> None:
    """Zero the columns from point n to the end of its vector."""
    end = (n + 7) // 8 * 8
    for o in range(rows):
        for p in range(n, end):
            x[o, p] = 0.0


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
        x[p] = q * power_of_two(k) if x[p] == x[p] else x[p]
