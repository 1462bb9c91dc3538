"""The occupancy of `render.occupancy` on a device."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from render.occupancy import OccupancyConfig


class DeviceOccupancy:
    """`mask` [z, y, x] is what marching reads; training writes weights to `seen`."""

    def __init__(
        self, config: OccupancyConfig, hull: Bool[np.ndarray, "z y x"], device: torch.device
    ) -> None:
        """Everything in the hull starts occupied."""
        self.config = config
        self.hull = torch.from_numpy(np.ascontiguousarray(hull)).to(device)
        self.mask = self.hull.clone()
        self.values = torch.zeros(hull.shape, device=device)
        self.seen = torch.zeros(hull.shape, device=device)

    @torch.no_grad()
    def see(self, x: Float[Tensor, "samples 3"], weights: Float[Tensor, " samples"]) -> None:
        """Keep the largest weight of a sample in each cell."""
        res = self.mask.shape[0]
        cell = (x * res).long().clamp(max=res - 1)
        flat = (cell[:, 2] * res + cell[:, 1]) * res + cell[:, 0]
        self.seen.view(-1).scatter_reduce_(0, flat, weights.float(), "amax")

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in what was seen since the last update. Works in place: graphs keep their places."""
        self.values.copy_(torch.maximum(self.values * self.config.decay, self.seen))
        self.seen.zero_()
        if step >= self.config.warm_up:
            seen = self.values > self.config.threshold
            for _ in range(self.config.growth):
                out = seen.clone()
                for axis in range(3):
                    m, o = seen.movedim(axis, 0), out.movedim(axis, 0)
                    o[1:] |= m[:-1]
                    o[:-1] |= m[1:]
                seen = out
            self.mask.copy_(seen & self.hull)
