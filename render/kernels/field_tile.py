"""The radiance field over one tile of points: (α, d, x) -> (c, σ), forward and backward.

The same mathematics as `render.field.Field` (the PyTorch reference it is tested against).
`inputs[m]` is the input of matrix m; matrix m writes the first rows of `inputs[m + 1]`. The density
net ends in `inputs[n_density]`, whose further rows are the spherical harmonics: the colour net's
input.
"""

from typing import NamedTuple, no_type_check

import numpy as np

from render.kernels.expression_tile import expression, expression_grad
from render.kernels.hash_tile import encode, encode_grad
from render.kernels.jit import kernel
from render.kernels.mlp_tile import (
    exponential,
    linear,
    linear_weight_grad,
    relu,
    relu_grad,
)


class FieldArrays(NamedTuple):
    """Parameters of the field, as views of one flat vector."""

    table: np.ndarray
    """[entries, features] hash table."""
    geometry: np.ndarray
    """[levels, 4] offset, entries, resolution, dense."""
    scales: np.ndarray
    """[levels]."""
    grid: np.ndarray
    """[res^3, channels K] expression grid."""
    res: int
    """Vertices per axis of the expression grid; 0 switches it off."""
    displacement: float
    """Box sides per unit of its first three channels."""
    weights: tuple[np.ndarray, ...]
    """Matrices [out, in], density net first."""
    direct: bool
    """Whether α itself is an input of the density net."""
    n_density: int
    """How many of them belong to the density net."""
    density_bias: float
    """σ = exp(raw + density_bias), per box side."""


class Tile(NamedTuple):
    """Scratch memory of one thread for up to T points."""

    x: np.ndarray
    canonical: np.ndarray
    d_canonical: np.ndarray
    ray: np.ndarray
    ts: np.ndarray
    corners: np.ndarray
    fraction: np.ndarray
    expression: np.ndarray
    d_expression: np.ndarray
    row: np.ndarray
    inputs: tuple[np.ndarray, ...]
    d_inputs: tuple[np.ndarray, ...]
    optical: np.ndarray
    passed: np.ndarray
    weights: np.ndarray
    d_weights: np.ndarray
    through: np.ndarray
    d_optical: np.ndarray


@kernel
@no_type_check
def density(field: FieldArrays, tile: Tile, alpha: np.ndarray, step: float, n: int) -> None:
    """Optical depth σ δ of tile.x to tile.optical; geometry features to the colour net's input."""
    x = tile.x
    at = tile.canonical
    first = tile.inputs[0]
    row_at = field.geometry.shape[0] * field.table.shape[1]
    if field.res > 0:
        expression(x, alpha, tile.ray, field.grid, field.res, n, tile.row, tile.expression)
        for a in range(3):
            for p in range(n):
                moved = x[a, p] + np.float32(field.displacement) * tile.expression[a, p]
                # Written so that a NaN lands on 0, never on an index outside the table.
                moved = moved if moved > 0.0 else np.float32(0.0)
                at[a, p] = moved if moved < 1.0 else np.float32(1.0)
        for channel in range(3, tile.expression.shape[0]):
            for p in range(n):
                first[row_at, p] = tile.expression[channel, p]
            row_at += 1
    else:
        for a in range(3):
            for p in range(n):
                at[a, p] = x[a, p]
    encode(at, field.table, field.geometry, field.scales, n, tile.corners, tile.fraction, first)
    if field.direct:
        for k in range(alpha.shape[1]):
            for p in range(n):
                first[row_at + k, p] = alpha[tile.ray[p], k]
    for m in range(field.n_density):
        linear(field.weights[m], tile.inputs[m], tile.inputs[m + 1], n)
        if m < field.n_density - 1:
            relu(tile.inputs[m + 1], n)
    raw = tile.inputs[field.n_density][0]
    optical = tile.optical
    for p in range(n):
        v = raw[p] + np.float32(field.density_bias)
        optical[p] = np.float32(15.0) if v > 15.0 else v
    exponential(optical, n)
    for p in range(n):
        optical[p] *= np.float32(step)


@kernel
@no_type_check
def colour(field: FieldArrays, tile: Tile, harmonics: np.ndarray, n: int) -> None:
    """Colours in (0, 1) to the last input buffer, after `density` of the same tile."""
    middle = tile.inputs[field.n_density]
    geometry = field.weights[field.n_density - 1].shape[0]
    for k in range(harmonics.shape[1]):
        for p in range(n):
            middle[geometry + k, p] = harmonics[tile.ray[p], k]
    last = len(field.weights) - 1
    for m in range(field.n_density, last + 1):
        linear(field.weights[m], tile.inputs[m], tile.inputs[m + 1], n)
        if m < last:
            relu(tile.inputs[m + 1], n)
    for channel in range(3):
        out = tile.inputs[last + 1][channel]
        for p in range(n):
            out[p] = -out[p]
        exponential(out, n)
        for p in range(n):
            out[p] = np.float32(1.0) / (np.float32(1.0) + out[p])


@kernel
@no_type_check
def backward(
    field: FieldArrays,
    tile: Tile,
    alpha: np.ndarray,
    transposed: tuple[np.ndarray, ...],
    d_table: np.ndarray,
    d_grid: np.ndarray,
    d_weights: tuple[np.ndarray, ...],
    n: int,
) -> None:
    """Add all parameter gradients.

    On entry tile.d_optical holds d loss / d (σ δ) and the last d_inputs buffer d loss / d colour.
    """
    last = len(field.weights) - 1
    for channel in range(3):
        c = tile.inputs[last + 1][channel]
        g = tile.d_inputs[last + 1][channel]
        for p in range(n):
            g[p] *= c[p] * (np.float32(1.0) - c[p])
    for m in range(last, -1, -1):
        # The last colour matrix has a fourth, unused row (widths are multiples of four): no
        # gradient.
        linear_weight_grad(tile.d_inputs[m + 1], tile.inputs[m], d_weights[m], n)
        if m > 0 or field.table.shape[0] > 0:
            linear(transposed[m], tile.d_inputs[m + 1], tile.d_inputs[m], n)
        if m == field.n_density:
            g = tile.d_inputs[m][0]
            for p in range(n):
                g[p] += tile.d_optical[p] * tile.optical[p]
        elif m > 0:
            relu_grad(tile.inputs[m], tile.d_inputs[m], n)
    moved = field.res > 0
    encode_grad(
        tile.d_inputs[0],
        field.table,
        field.scales,
        n,
        tile.corners,
        tile.fraction,
        d_table,
        tile.d_canonical,
        moved,
    )
    if moved:
        for a in range(3):
            at, d = tile.canonical[a], tile.d_canonical[a]
            out = tile.d_expression[a]
            for p in range(n):
                inside = at[p] > 0.0 and at[p] < 1.0
                out[p] = np.float32(field.displacement) * d[p] if inside else np.float32(0.0)
        row_at = field.geometry.shape[0] * field.table.shape[1]
        for channel in range(3, tile.expression.shape[0]):
            for p in range(n):
                tile.d_expression[channel, p] = tile.d_inputs[0][row_at, p]
            row_at += 1
        expression_grad(tile.d_expression, tile.x, alpha, tile.ray, field.res, n, tile.row, d_grid)
