"""The portable hash grid: any device, any float type; the reference for the other back-ends.

All corners of all levels are looked up at once: one gather forward, one scatter backward, and no
constant is made on the way, so that a CUDA graph may hold it.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from render.hash_grid_config import GridGeometry, HashGridConfig, grid_geometry

PRIMES = (1, 2654435761, 805459861, 3674653429, 2097192037, 1434869437, 2165219737)
_UINT32 = 0xFFFFFFFF


class _Constants(NamedTuple):
    scales: Tensor
    entries: Tensor
    offsets: Tensor
    strides: Tensor
    """[levels, dims] of a dense level: resolution^axis."""
    dense: Tensor
    upper: Tensor
    """[corners, dims]: whether a corner is the cell's upper one on an axis."""


@lru_cache(maxsize=16)
def _constants(config: HashGridConfig, device: torch.device, dtype: torch.dtype) -> _Constants:
    g = grid_geometry(config)
    dims = config.dimensions

    def put(values: object, kind: torch.dtype) -> Tensor:
        return torch.as_tensor(values, device=device).to(kind)

    strides = [[pow(int(r), axis, 1 << 32) for axis in range(dims)] for r in g.resolutions]
    upper = [[bool((corner >> axis) & 1) for axis in range(dims)] for corner in range(1 << dims)]
    return _Constants(
        put(g.scales, dtype),
        put(g.entries, torch.int64),
        put(g.offsets, torch.int64),
        put(strides, torch.int64),
        put(g.dense, torch.bool),
        put(upper, torch.bool),
    )


def corner_index(
    cell: Int[Tensor, "points levels dims"], c: _Constants
) -> Int[Tensor, "points levels corners"]:
    """Table entry of each corner: dense, or the coherent prime hash; modulo the level's entries."""
    dense = hashed = torch.zeros((), dtype=torch.int64, device=cell.device)
    for axis in range(cell.shape[2]):
        vertex = (cell[:, :, axis, None] + c.upper[:, axis]) & _UINT32
        dense = (dense + vertex * c.strides[:, axis, None]) & _UINT32
        hashed = hashed ^ ((vertex * PRIMES[axis]) & _UINT32)
    index = torch.where(c.dense[:, None], dense, hashed)
    return index % c.entries[:, None] + c.offsets[:, None]


def rows_of(
    table: Float[Tensor, "entries features"], index: Int[Tensor, " n"]
) -> Float[Tensor, "n features"]:
    """Rows of a table, by the way whose gradient is fast there.

    index_select scatters its gradient by atomics on CUDA; on the CPU it would go row by row, where
    plain indexing does not.
    """
    return table.index_select(0, index) if table.is_cuda else table[index]


def corner_weights(
    fraction: Float[Tensor, "*any dims"], upper: Bool[Tensor, "corners dims"]
) -> Float[Tensor, "*any corners"]:
    """Share of each corner of a cell in a point, linear in every axis."""
    out = torch.ones((), dtype=fraction.dtype, device=fraction.device)
    for axis in range(upper.shape[1]):
        f = fraction[..., axis, None]
        out = out * torch.where(upper[:, axis], f, 1 - f)
    return out


def encode_torch(
    x: Float[Tensor, "points dims"],
    params: Float[Tensor, " n"],
    config: HashGridConfig,
    geometry: GridGeometry,
) -> Float[Tensor, "points width"]:
    """Features of each point; differentiable in x and params."""
    c = _constants(config, params.device, x.dtype)
    position = x[:, None] * c.scales[:, None] + 0.5
    cell = torch.floor(position.detach())
    weights = corner_weights(position - cell, c.upper)
    index = corner_index(cell.long(), c)
    rows = rows_of(params.view(geometry.total, config.features), index.reshape(-1))
    rows = rows.view(*index.shape, config.features)
    return (weights[..., None] * rows).sum(2).reshape(len(x), config.width)
