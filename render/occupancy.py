"""Which cells of the head's box are ever seen, over all expressions: what marching may skip.

Not a grid of density but of visibility: the largest rendering weight any training sample had in
the cell lately. The inside and the back of a head are as dense as its face, but no talking-head
camera ever sees them; leaving them out halves the samples of a ray, and the weights cost nothing
(training computes them anyway). One cell of growth around what is seen lets the surface move.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from render.errors import ConfigError


@dataclass(frozen=True)
class OccupancyConfig:
    """The grid and its upkeep."""

    resolution: int = 64
    """Cells per axis."""
    every: int = 8
    """Steps between updates."""
    decay: float = 0.85
    """What is left of a cell's old value at an update."""
    threshold: float = 0.03
    """A cell is occupied where a sample had more than this share of its ray's colour."""
    warm_up: int = 100
    """Steps during which every cell of the hull stays occupied."""
    growth: int = 1
    """Cells by which what is seen grows, from wall to wall."""

    def __post_init__(self) -> None:
        """Refuse a grid that could never be marched through."""
        if self.resolution < 2 or self.every < 1 or self.growth < 0:
            raise ConfigError(
                f"occupancy: resolution = {self.resolution} (at least 2), every = {self.every} (at "
                f"least 1), growth = {self.growth} (at least 0)"
            )


class Occupancy:
    """`mask` [z, y, x] is what marching reads; training writes weights to `seen`."""

    def __init__(
        self, config: OccupancyConfig, hull: Bool[np.ndarray, "z y x"], threads: int = 1
    ) -> None:
        """Everything in the hull starts occupied."""
        self.config = config
        self.hull = np.ascontiguousarray(hull)
        self.mask = self.hull.copy()
        self.values = np.zeros(hull.shape, np.float32)
        self.seen = np.zeros((threads, *hull.shape), np.float32)

    def update(self, step: int) -> None:
        """Take in what was seen since the last update."""
        self.values = np.maximum(self.values * np.float32(self.config.decay), self.seen.max(0))
        self.seen[:] = 0
        if step >= self.config.warm_up:
            seen = grown(self.values > self.config.threshold, self.config.growth)
            self.mask = np.ascontiguousarray(seen & self.hull)

    @property
    def share(self) -> float:
        """Occupied share of the box."""
        return float(self.mask.mean())


def grown(mask: Bool[np.ndarray, "z y x"], cells: int) -> Bool[np.ndarray, "z y x"]:
    """The mask with every cell that is at most `cells` steps through walls away from it."""
    for _ in range(cells):
        out = mask.copy()
        for axis in range(mask.ndim):
            m, o = np.moveaxis(mask, axis, 0), np.moveaxis(out, axis, 0)
            o[1:] |= m[:-1]
            o[:-1] |= m[1:]
        mask = out
    return mask
