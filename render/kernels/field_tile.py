"""The radiance field over one tile of points: (α, d, x) -> (c, σ), forward and backward.

The same mathematics as `render.field.Field` (the PyTorch reference it is tested against).
`inputs[m]` is the input of matrix m; matrix m writes the first rows of `inputs[m + 1]`. The density
net ends in `inputs[n_density]`, whose further rows are the spherical harmonics: the colour net's
input.
"""

from typing import NamedTuple, no_type_check

import numpy as np

from render.kernels.expression_tile import expression, expression_grad
from render.kernels.hash_tile import encode
from render.kernels.jit import kernel
from render.kernels.mlp_tile import (
    clear_behind,
    exponential,
    linear,
    linear_gated,
    linear_relu,
    linear_weight_grad,
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
    """[8, T] of one level."""
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


class Sheet(NamedTuple):
    """What is kept of many tiles [tiles, ...] between the passes of a training step."""

    x: np.ndarray
    canonical: np.ndarray
    d_canonical: np.ndarray
    ray: np.ndarray
    ts: np.ndarray
    inputs: np.ndarray
    """The density net's."""
    d_inputs: np.ndarray
    points: np.ndarray
    """How many points a tile has."""
    rays: np.ndarray
    """How many rays, and the first's number [tiles, 2]."""
    first: np.ndarray
    """Where each ray begins [tiles, T + 1]."""


@kernel
@no_type_check
def tile_of(sheet: Sheet, scratch: Tile, t: int) -> Tile:
    """Tile t of a sheet; everything else is one scratch memory for all."""
    return Tile(
        sheet.x[t],
        sheet.canonical[t],
        sheet.d_canonical[t],
        sheet.ray[t],
        sheet.ts[t],
        scratch.corners,
        scratch.fraction,
        scratch.expression,
        scratch.d_expression,
        scratch.row,
        (sheet.inputs[t],) + scratch.inputs[1:],  # noqa: RUF005 (numba)
        (sheet.d_inputs[t],) + scratch.d_inputs[1:],  # noqa: RUF005
        scratch.optical,
        scratch.passed,
        scratch.weights,
        scratch.d_weights,
        scratch.through,
        scratch.d_optical,
    )


@kernel
@no_type_check
def deform(field: FieldArrays, tile: Tile, alpha: np.ndarray, n: int) -> None:
    """Canonical places of tile.x, and what the density net reads beside their hash features."""
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
    if field.direct:
        for k in range(alpha.shape[1]):
            for p in range(n):
                first[row_at + k, p] = alpha[tile.ray[p], k]


@kernel
@no_type_check
def density(field: FieldArrays, tile: Tile, alpha: np.ndarray, step: float, n: int) -> None:
    """Optical depth σ δ of tile.x to tile.optical; geometry features to the colour net's input."""
    deform(field, tile, alpha, n)
    encode(
        tile.canonical,
        field.table,
        field.geometry,
        field.scales,
        n,
        tile.corners,
        tile.fraction,
        tile.inputs[0],
    )
    density_net(field, tile, step, n)


@kernel
@no_type_check
def density_net(field: FieldArrays, tile: Tile, step: float, n: int) -> None:
    """The same of inputs that are there."""
    first = tile.inputs[0]
    clear_behind(first, first.shape[0], n)
    for m in range(field.n_density):
        w = field.weights[m]
        if m < field.n_density - 1:
            linear_relu(w, tile.inputs[m], tile.inputs[m + 1], n)
        else:
            linear(w, tile.inputs[m], tile.inputs[m + 1], w.shape[0], n)
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
    clear_behind(middle, middle.shape[0], n)
    last = len(field.weights) - 1
    for m in range(field.n_density, last + 1):
        w = field.weights[m]
        if m < last:
            linear_relu(w, tile.inputs[m], tile.inputs[m + 1], n)
        else:
            linear(w, tile.inputs[m], tile.inputs[m + 1], w.shape[0], n)
    for channel in range(3):
        out = tile.inputs[last + 1][channel]
        for p in range(n):
            out[p] = -out[p]
        exponential(out, n)
        for p in range(n):
            out[p] = np.float32(1.0) / (np.float32(1.0) + out[p])


@kernel
@no_type_check
def backward_nets(
    field: FieldArrays,
    tile: Tile,
    transposed: tuple[np.ndarray, ...],
    d_weights: tuple[np.ndarray, ...],
    with_codes: bool,
    n: int,
) -> None:
    """Add the matrices' gradients; those of the density net's inputs go to tile.d_inputs[0].

    On entry tile.d_optical holds d loss / d (σ δ) and the last d_inputs buffer d loss / d colour.
    with_codes: the gradient of the colour net's last inputs is wanted, too.
    """
    last = len(field.weights) - 1
    for channel in range(3):
        c = tile.inputs[last + 1][channel]
        g = tile.d_inputs[last + 1][channel]
        for p in range(n):
            g[p] *= c[p] * (np.float32(1.0) - c[p])
    clear_behind(tile.d_inputs[last + 1], 4, n)
    # What the density net's first layer reads from parameters: hash and ambient features, not α.
    learned = field.geometry.shape[0] * field.table.shape[1]
    if field.res > 0:
        learned += tile.expression.shape[0] - 3
    for m in range(last, -1, -1):
        # The last colour matrix has a fourth, unused row (widths are multiples of four): no
        # gradient.
        dy = tile.d_inputs[m + 1]
        dx = tile.d_inputs[m]
        linear_weight_grad(dy, tile.inputs[m], d_weights[m], n)
        if m == field.n_density:
            rows = transposed[m].shape[0] if with_codes else field.weights[m - 1].shape[0]
            linear(transposed[m], dy, dx, rows, n)
            g = dx[0]
            for p in range(n):
                g[p] += tile.d_optical[p] * tile.optical[p]
        elif m > 0:
            linear_gated(transposed[m], dy, dx, tile.inputs[m], n)
        else:
            linear(transposed[m], dy, dx, (learned + 3) // 4 * 4, n)


@kernel
@no_type_check
def backward_expression(
    field: FieldArrays, tile: Tile, alpha: np.ndarray, d_grid: np.ndarray, n: int
) -> None:
    """Add the expression grid's gradient for tile.d_canonical and tile.d_inputs[0]."""
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
