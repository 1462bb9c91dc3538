"""The portable hash grid: any device, any float type; the reference for the other back-ends."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from render.hash_grid import GridGeometry, HashGridConfig

PRIMES = (1, 2654435761, 805459861, 3674653429, 2097192037, 1434869437, 2165219737)
_UINT32 = 0xFFFFFFFF


def corner_index(
    vertex: Int[Tensor, "points dims"], resolution: int, entries: int, dense: bool
) -> Int[Tensor, " points"]:
    """Entry of a vertex inside its level: dense, or the coherent prime hash; modulo the entries."""
    if dense:
        index = torch.zeros_like(vertex[:, 0])
        stride = 1
        for axis in range(vertex.shape[1]):
            index = (index + (vertex[:, axis] & _UINT32) * stride) & _UINT32
            stride *= resolution
    else:
        index = vertex[:, 0] & _UINT32
        for axis in range(1, vertex.shape[1]):
            index = index ^ (((vertex[:, axis] & _UINT32) * PRIMES[axis]) & _UINT32)
    return index % entries


def encode_torch(
    x: Float[Tensor, "points dims"],
    params: Float[Tensor, " n"],
    config: HashGridConfig,
    geometry: GridGeometry,
) -> Float[Tensor, "points width"]:
    """Features of each point; differentiable in x and params."""
    table = params.view(geometry.total, config.features)
    levels = []
    for level in range(config.levels):
        position = x * float(geometry.scales[level]) + 0.5
        cell = torch.floor(position.detach())
        fraction = position - cell
        cell = cell.long()
        out = torch.zeros(len(x), config.features, dtype=params.dtype, device=params.device)
        for corner in range(1 << config.dimensions):
            upper = torch.tensor(
                [(corner >> axis) & 1 for axis in range(config.dimensions)], device=x.device
            )
            weight = torch.where(upper.bool(), fraction, 1 - fraction).prod(1, keepdim=True)
            index = corner_index(
                cell + upper,
                int(geometry.resolutions[level]),
                int(geometry.entries[level]),
                bool(geometry.dense[level]),
            )
            out = out + weight * table[index + int(geometry.offsets[level])]
        levels.append(out)
    return torch.cat(levels, 1)
