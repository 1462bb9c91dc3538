"""Shape of a hash grid, and where each of its levels lies in the table.

Semantics and parameter order are tiny-cuda-nn's (NVlabs/tiny-cuda-nn at 6ee3546:
include/tiny-cuda-nn/encodings/grid.h and common_device.h).
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from render.errors import ConfigError


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
