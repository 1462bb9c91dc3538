"""The hash grid on the CPU: compiled kernels inside PyTorch's autograd."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from render.hash_grid_config import GridGeometry, HashGridConfig
from render.kernels.hash_points import encode_points, encode_points_grad
from render.threads import default_threads, run_slices, slices


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, params: Tensor, config: HashGridConfig, geometry: GridGeometry
    ) -> Tensor:
        ctx.save_for_backward(x, params)
        ctx.grid = (config, geometry)
        points = np.ascontiguousarray(x.detach().numpy())
        table = params.detach().numpy().reshape(-1, config.features)
        out = np.empty((len(points), config.width), np.float32)
        packed = geometry.packed()

        def work(_: int, lo: int, hi: int) -> None:
            encode_points(lo, hi, points, table, packed, geometry.scales, out)

        run_slices(work, len(points), default_threads())
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor, None, None]:
        x, params = ctx.saved_tensors
        config, geometry = ctx.grid
        points = np.ascontiguousarray(x.detach().numpy())
        d_out = np.ascontiguousarray(grads[0].numpy())
        table = params.detach().numpy().reshape(-1, config.features)
        d_table = np.zeros_like(table)
        threads = len(slices(config.levels, default_threads()))
        d_x = np.zeros((threads, *points.shape), np.float32)
        packed = geometry.packed()

        def work(thread: int, lo: int, hi: int) -> None:
            encode_points_grad(
                lo, hi, points, d_out, table, packed, geometry.scales, d_table, d_x[thread]
            )

        run_slices(work, config.levels, default_threads())
        return torch.from_numpy(d_x.sum(0)), torch.from_numpy(d_table.reshape(-1)), None, None


def encode_numba(
    x: Float[Tensor, "points dims"],
    params: Float[Tensor, " n"],
    config: HashGridConfig,
    geometry: GridGeometry,
) -> Float[Tensor, "points width"]:
    """Features of each point; differentiable in x and params. float32 on the CPU only."""
    return _Encode.apply(x, params, config, geometry)
