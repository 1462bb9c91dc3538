"""The training step's loss in portable PyTorch: any device, and the yardstick of the fused one.

The same rays, samples and loss as `render.kernels.rays.train_rays`, through autograd.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from render.field import Field
from render.fused import RayBatch
from render.kernels.march_batch import march_batch
from render.volume import accumulate, render_weights


def march_rays(
    batch: RayBatch, occupied: Bool[np.ndarray, "z y x"], step: float, max_samples: int
) -> tuple[Int[Tensor, " samples"], Float[Tensor, " samples"]]:
    """Ray and distance of every sample in occupied cells, packed (marched on the CPU)."""
    rays = len(batch.origins)
    ts = np.empty(rays * max_samples, np.float32)
    ray = np.empty(rays * max_samples, np.int64)
    n = march_batch(
        batch.origins,
        batch.directions,
        batch.jitter,
        occupied,
        np.float32(step),
        max_samples,
        ts,
        ray,
    )
    return torch.from_numpy(ray[:n].copy()), torch.from_numpy(ts[:n].copy())


def ray_loss(
    field: Field,
    batch: RayBatch,
    occupied: Bool[np.ndarray, "z y x"],
    step: float,
    max_samples: int,
    opacity_weight: float,
    distortion_weight: float = 0.0,
    device: str = "cpu",
) -> tuple[Float[Tensor, ""], int]:
    """Loss of a batch, differentiable in the field's parameters, and its number of samples."""

    def put(x: np.ndarray) -> Tensor:
        return torch.from_numpy(x).to(device)

    ray, t = (x.to(device) for x in march_rays(batch, occupied, step, max_samples))
    origins, directions = put(batch.origins), put(batch.directions)
    x = (origins[ray] + t[:, None] * directions[ray]).clamp(0, 1)
    colour, sigma = field(x, put(batch.alpha)[ray], directions[ray])
    weights = render_weights(sigma, torch.full_like(sigma, step), ray)
    n = len(batch.origins)
    rgb = accumulate(weights, colour, ray, n)
    opacity = accumulate(weights, torch.ones_like(weights[:, None]), ray, n)[:, 0]
    matte, background = put(batch.matte), put(batch.background)
    wanted = matte[:, None] * put(batch.target) + (1 - matte[:, None]) * background
    shown = rgb + (1 - opacity[:, None]) * background
    loss = ((shown - wanted) ** 2).mean(1) + opacity_weight * (opacity - matte) ** 2
    if distortion_weight:
        spread = distortion(weights, t, ray, n, step)
        loss = loss + distortion_weight * spread
    return (loss * put(batch.importance)).sum(), len(t)


def distortion(
    weights: Float[Tensor, " samples"],
    t: Float[Tensor, " samples"],
    ray: Int[Tensor, " samples"],
    rays: int,
    step: float,
) -> Float[Tensor, " rays"]:
    """sum_ij w_i w_j |t_i - t_j| + 1/3 sum_i w_i^2 δ of each ray (Mip-NeRF 360, equation 15).

    With samples in order the double sum is 2 sum_i w_i (t_i W_<i - V_<i), W and V running sums of
    w, w t.
    """
    w, wt = weights.double(), (weights * t).double()
    before = torch.stack([torch.cumsum(w, 0) - w, torch.cumsum(wt, 0) - wt], 1)
    starts = torch.ones_like(ray, dtype=torch.bool)
    starts[1:] = ray[1:] != ray[:-1]
    before = before - before[starts][torch.cumsum(starts.long(), 0) - 1]
    pairs = 2 * w * (t.double() * before[:, 0] - before[:, 1]) + w * w * step / 3
    out = torch.zeros(rays, dtype=torch.float64, device=weights.device)
    return out.index_add(0, ray, pairs).to(weights.dtype)
