"""The multi-resolution hash grid: one mathematics, three back-ends behind one module.

Semantics and parameter order are tiny-cuda-nn's, so a flat parameter vector moves between back-ends
(NVlabs/tiny-cuda-nn at 6ee3546: include/tiny-cuda-nn/encodings/grid.h and common_device.h;
Müller et al., Instant Neural Graphics Primitives, 2022).
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from render.errors import BackendError, ConfigError
from render.hash_grid_config import HashGridConfig, grid_geometry

Backend = Literal["auto", "torch", "numba", "tcnn"]
INITIAL_RANGE = 1e-4


class HashGrid(nn.Module):
    """Positions in [0, 1]^D to features [N, L F], level-major.

    `params` is the flat vector: entry e, feature f at e F + f, levels in order.
    """

    params: nn.Parameter

    def __init__(
        self,
        config: HashGridConfig,
        backend: Backend = "auto",
        generator: torch.Generator | None = None,
    ) -> None:
        """Values uniform in ±1e-4, as in tiny-cuda-nn."""
        super().__init__()
        self.config = config
        self.geometry = grid_geometry(config)
        self.backend: Backend = backend
        values = torch.rand(self.geometry.total * config.features, generator=generator)
        self.params = nn.Parameter((values * 2 - 1) * INITIAL_RANGE)

    def forward(self, x: Float[Tensor, "points dims"]) -> Float[Tensor, "points width"]:
        """Encode.

        Raises:
            BackendError: the back-end asked for cannot run on this device or type.
        """
        if x.shape[1] != self.config.dimensions:
            raise ConfigError(
                f"hash grid: points have {x.shape[1]} coordinates, the grid is made for "
                f"{self.config.dimensions}; pass [N, {self.config.dimensions}]"
            )
        backend = resolve_backend(self.backend, self.params, self.config)
        if backend == "numba":
            from render.hash_grid_numba import encode_numba

            return encode_numba(x, self.params, self.config, self.geometry)
        if backend == "tcnn":
            from render.hash_grid_tcnn import encode_tcnn

            return encode_tcnn(x, self.params, self.config)
        from render.hash_grid_torch import encode_torch

        return encode_torch(x, self.params, self.config, self.geometry)


def resolve_backend(backend: Backend, params: Tensor, config: HashGridConfig) -> Backend:
    """The back-end that will run: what was asked for, or for "auto" the fastest that can.

    Raises:
        BackendError: asked for by name and not able to run here; never replaced in silence.
    """
    fits_numba = (
        params.device.type == "cpu"
        and params.dtype == torch.float32
        and config.dimensions in (2, 3)
    )
    if backend == "numba" and not fits_numba:
        raise BackendError(
            f"hash grid: the numba back-end wants float32 on the CPU and 2 or 3 dimensions, got "
            f"{params.dtype} on {params.device} and {config.dimensions}; use backend='torch'"
        )
    if backend == "tcnn":
        from render.hash_grid_tcnn import why_not

        reason = why_not(params)
        if reason is not None:
            raise BackendError(f"hash grid: tiny-cuda-nn cannot run: {reason}")
    if backend != "auto":
        return backend
    if params.device.type == "cuda":
        from render.hash_grid_tcnn import why_not

        return "torch" if why_not(params) is not None else "tcnn"
    return "numba" if fits_numba else "torch"
