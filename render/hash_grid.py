"""The multi-resolution hash grid: one mathematics, three back-ends behind one module.

Semantics and parameter order are tiny-cuda-nn's, so a flat parameter vector moves between back-ends
(NVlabs/tiny-cuda-nn at 6ee3546: include/tiny-cuda-nn/encodings/grid.h and common_device.h;
Müller et al., Instant Neural Graphics Primitives, 2022).
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from render.errors import BackendError, ConfigError

Backend = Literal["auto", "torch", "numba", "tcnn"]
INITIAL_RANGE = 1e-4


@dataclass(frozen=True)
class HashGridConfig:
    """Shape of a hash grid."""

    levels: int = 16
    """Number of resolutions L."""
    features: int = 2
    """Values per entry F."""
    log2_entries: int = 15
    """Largest table of a level is 2^this entries."""
    base_resolution: int = 16
    """Resolution of level 0 (vertices per axis, before the stagger)."""
    growth: float = 1.4
    """Ratio of resolutions from level to level (per_level_scale)."""
    dimensions: int = 3
    """D: 2 or 3 (up to 7 by the torch back-end)."""

    def __post_init__(self) -> None:
        """Refuse shapes that no back-end can hold."""
        if not 1 <= self.dimensions <= 7:
            raise ConfigError(f"hash grid: dimensions = {self.dimensions}, must be 1 to 7")
        if self.levels < 1 or self.features < 1 or self.base_resolution < 1:
            raise ConfigError(
                f"hash grid: levels = {self.levels}, features = {self.features}, base_resolution = "
                f"{self.base_resolution}; each must be at least 1"
            )
        if not 3 <= self.log2_entries <= 24:
            raise ConfigError(f"hash grid: log2_entries = {self.log2_entries}, must be 3 to 24")

    @property
    def width(self) -> int:
        """Length of the encoding, L F."""
        return self.levels * self.features


@dataclass(frozen=True)
class GridGeometry:
    """Where each level lies in the table, and how fine it is."""

    offsets: Int[np.ndarray, " levels"]
    entries: Int[np.ndarray, " levels"]
    resolutions: Int[np.ndarray, " levels"]
    scales: Float[np.ndarray, " levels"]
    dense: np.ndarray

    @property
    def total(self) -> int:
        """Entries of all levels."""
        return int(self.entries.sum())

    def packed(self) -> Int[np.ndarray, "levels 4"]:
        """Rows (offset, entries, resolution, dense) as the CPU kernels read them."""
        return np.stack(
            [self.offsets, self.entries, self.resolutions, self.dense.astype(np.int64)], 1
        ).astype(np.int32)


def grid_geometry(config: HashGridConfig) -> GridGeometry:
    """Levels of a grid, computed in float32 as tiny-cuda-nn does."""
    growth = np.float32(math.log2(config.growth))
    steps = np.arange(config.levels, dtype=np.float32) * growth
    scales = (
        np.exp2(steps).astype(np.float32) * np.float32(config.base_resolution) - np.float32(1.0)
    ).astype(np.float32)
    resolutions = np.ceil(scales).astype(np.int64) + 1
    limit = 1 << config.log2_entries
    vertices = [int(r) ** config.dimensions for r in resolutions]
    entries = np.array([min((v + 7) // 8 * 8, limit) for v in vertices], dtype=np.int64)
    dense = np.array([v <= e for v, e in zip(vertices, entries.tolist(), strict=True)])
    offsets = np.concatenate([[0], np.cumsum(entries)[:-1]]).astype(np.int64)
    return GridGeometry(offsets, entries, resolutions, scales, dense)


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
