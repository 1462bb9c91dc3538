"""Drawing training rays on the device: frames and labels lie there as bytes, nothing is copied.

The same distribution as `render.kernels.draw` (a frame, a pixel of its bounds, kept with the chance
of its label), by inverse cumulative sums instead of rejection: a fixed number of operations, none
of which waits. Random numbers are a hash of a counter that lies on the device, so a resumed run and
a replayed graph draw what they should.
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from render.cameras import Box
from render.head_data import HeadData
from render.masks import HEAD, members
from render.ray_sampling import SamplingConfig, frame_bounds, label_chances
from render.torch_rays import RayTensors


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


_GOLDEN, _MIX1, _MIX2 = map(_signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical shift to the right (torch's is arithmetic)."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def splitmix(z: Int[Tensor, "*any"]) -> Int[Tensor, "*any"]:
    """A well-stirred 64-bit value of a counter, the one of `render.kernels.draw`."""
    z = z + _GOLDEN
    z = (z ^ _shift(z, 30)) * _MIX1
    z = (z ^ _shift(z, 27)) * _MIX2
    return z ^ _shift(z, 31)


def units(counter: Int[Tensor, ""], rows: int, columns: int) -> Float[Tensor, "rows columns"]:
    """Numbers in [0, 1), a function of the counter alone."""
    index = torch.arange(rows * columns, device=counter.device).view(rows, columns)
    z = splitmix(splitmix(counter) + index * _GOLDEN)
    return _shift(z, 40).to(torch.float32) / (1 << 24)


class DeviceSampler:
    """Draws rays of the training frames."""

    def __init__(
        self,
        data: HeadData,
        box: Box,
        config: SamplingConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        """Bring the frames over and sum up each row's chances."""
        self.config = config
        self.seed = seed
        self.focal = float(data.focal)
        self.side = float(box.side)
        self.frames = torch.from_numpy(data.frames).to(device)
        self.labels = torch.from_numpy(data.labels).to(device)
        self.cameras = torch.from_numpy(np.ascontiguousarray(data.cameras, np.float32)).to(device)
        self.alpha = torch.from_numpy(np.ascontiguousarray(data.alpha, np.float32)).to(device)
        self.low = torch.tensor(box.low, dtype=torch.float32, device=device)
        self.is_head = torch.from_numpy(members(HEAD)).to(device)
        self.chance = torch.from_numpy(label_chances(config)).to(device)
        bounds = frame_bounds(data.labels, round(config.margin * data.size))
        self.bounds = torch.from_numpy(bounds).to(device)
        sums = np.zeros((len(data.frames), data.size))
        lookup = label_chances(config)
        for i, (x0, y0, x1, y1) in enumerate(bounds):
            sums[i, y0:y1] = lookup[data.labels[i, y0:y1, x0:x1]].sum(1)
        rows = np.cumsum(sums, 1)
        area = (bounds[:, 2] - bounds[:, 0]) * (bounds[:, 3] - bounds[:, 1])
        by_frame = np.cumsum(rows[:, -1] / area)
        self._rows = torch.from_numpy((rows / rows[:, -1:]).astype(np.float32)).to(device)
        self._by_frame = torch.from_numpy((by_frame / by_frame[-1]).astype(np.float32)).to(device)

    def draw(self, step: Int[Tensor, ""], rays: int) -> RayTensors:
        """The batch of this step (a number that lies on the device)."""
        k = self.alpha.shape[1]
        size = self.labels.shape[1]
        u = units(step + self.seed * 1_000_003, rays, 7 + 2 * k)
        i = torch.searchsorted(self._by_frame, u[:, 0].contiguous(), right=True)
        i = i.clamp(max=len(self.labels) - 1)
        y = torch.searchsorted(self._rows[i], u[:, 1:2].contiguous(), right=True)[:, 0]
        y = y.clamp(max=size - 1)
        across = torch.arange(size, device=u.device)
        x0, x1 = self.bounds[i, 0, None], self.bounds[i, 2, None]
        chance = self.chance[self.labels[i, y].long()] * ((across >= x0) & (across < x1))
        sums = torch.cumsum(chance, 1)
        x = torch.searchsorted(sums, u[:, 2:3] * sums[:, -1:], right=True)[:, 0].clamp(max=size - 1)

        d = torch.stack(
            [
                (x + 0.5 - size / 2) / self.focal,
                (y + 0.5 - size / 2) / self.focal,
                torch.ones_like(u[:, 0]),
            ],
            1,
        )
        camera = self.cameras[i]
        rotation, t = camera[:, :, :3], camera[:, :, 3]
        directions = torch.nn.functional.normalize(torch.einsum("rca,rc->ra", rotation, d), dim=1)
        origins = (-torch.einsum("rca,rc->ra", rotation, t) - self.low) / self.side
        normal = torch.sqrt(-2 * torch.log1p(-u[:, 7 : 7 + k])) * torch.cos(
            2 * math.pi * u[:, 7 + k :]
        )
        return RayTensors(
            origins,
            directions,
            self.alpha[i] + self.config.alpha_noise * normal,
            self.frames[i, y, x].float() / 255,
            self._matte(i, y, x),
            u[:, 3:6],
            torch.full_like(u[:, 0], 1.0 / rays),
            u[:, 6],
            i,
        )

    def _matte(self, i: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """The head's share of each pixel's 3 x 3 neighbourhood inside the picture."""
        size = self.labels.shape[1]
        around = torch.arange(-1, 2, device=y.device)
        v = (y[:, None] + around)[:, :, None]
        u = (x[:, None] + around)[:, None, :]
        there = (v >= 0) & (v < size) & (u >= 0) & (u < size)
        labels = self.labels[i[:, None, None], v.clamp(0, size - 1), u.clamp(0, size - 1)]
        head = self.is_head[labels.long()] & there
        return head.sum((1, 2)).float() / there.sum((1, 2))
