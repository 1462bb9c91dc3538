"""The training step's loss in portable PyTorch: any device, and the yardstick of the fused one.

The same rays, samples and loss as `render.kernels.rays.train_rays`, through autograd.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from render.fused import RayBatch
from render.torch_march import Samples, compositing_weights, distortion, march, per_ray


@dataclass(frozen=True)
class RayTensors:
    """`render.fused.RayBatch` on a device; the harmonics are computed there."""

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    alpha: Float[Tensor, "rays k"]
    target: Float[Tensor, "rays 3"]
    matte: Float[Tensor, " rays"]
    background: Float[Tensor, "rays 3"]
    importance: Float[Tensor, " rays"]
    jitter: Float[Tensor, " rays"]
    frame: Int[Tensor, " rays"]

    @staticmethod
    def of(
        batch: RayBatch, device: str | torch.device, dtype: torch.dtype = torch.float32
    ) -> "RayTensors":
        """The batch, brought to the device."""

        def put(x: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(x)).to(device, dtype)

        rays = len(batch.origins)
        frame = np.zeros(rays, np.int64) if batch.frame is None else batch.frame
        return RayTensors(
            put(batch.origins),
            put(batch.directions),
            put(batch.alpha),
            put(batch.target),
            put(batch.matte),
            put(batch.background),
            put(batch.importance),
            put(batch.jitter),
            torch.from_numpy(frame).to(device),
        )


@dataclass(frozen=True)
class Shaded:
    """What the field gave for rays."""

    rgb: Float[Tensor, "rays 3"]
    """Over black."""
    opacity: Float[Tensor, " rays"]
    weights: Float[Tensor, " samples"]
    samples: Samples
    x: Float[Tensor, "samples 3"]


def shade(
    field: nn.Module,
    samples: Samples,
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    alpha: Float[Tensor, "rays k"],
    step: float,
    code: Float[Tensor, "rays appearance"] | None = None,
    tones: Float[Tensor, "rays 3"] | None = None,
) -> Shaded:
    """Evaluate the samples and composite them; code: appearance of each ray, if the field has it.

    tones: directions in which the field is asked for its colours; None: the rays' own.

    The field is called as `render.field.Field.forward`.
    """
    own = samples.ray.clamp(max=len(origins) - 1)
    d = directions[own]
    x = (origins[own] + samples.t[:, None] * d).clamp(0, 1)
    more = () if code is None else (code[own],)
    colour, sigma = field(x, alpha[own], d if tones is None else tones[own], *more)
    weights = compositing_weights(sigma * step, samples)
    values = torch.cat([colour, torch.ones_like(colour[:, :1])], 1)
    out = per_ray(weights, values, samples)
    return Shaded(out[:, :3], out[:, 3], weights, samples, x)


def batch_loss(
    shaded: Shaded,
    batch: RayTensors,
    step: float,
    opacity_weight: float,
    distortion_weight: float,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Loss of the batch, and the sum over rays of the mean squared colour error."""
    matte, background = batch.matte[:, None], batch.background
    wanted = matte * batch.target + (1 - matte) * background
    shown = shaded.rgb + (1 - shaded.opacity[:, None]) * background
    squared = ((shown - wanted) ** 2).mean(1)
    loss = squared + opacity_weight * (shaded.opacity - batch.matte) ** 2
    if distortion_weight:
        loss = loss + distortion_weight * distortion(shaded.weights, shaded.samples, step)
    return (loss * batch.importance).sum(), squared.detach().sum()


def ray_loss(
    field: nn.Module,
    batch: RayBatch,
    occupied: Bool[np.ndarray, "z y x"],
    step: float,
    max_samples: int,
    opacity_weight: float,
    distortion_weight: float = 0.0,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> tuple[Float[Tensor, ""], int]:
    """Loss of a batch, differentiable in the field's parameters, and its number of samples."""
    rays = RayTensors.of(batch, device, dtype)
    mask = torch.from_numpy(occupied).to(device)
    samples = march(rays.origins, rays.directions, rays.jitter, mask, step, max_samples)
    code = getattr(field, "codes", None)
    code = None if code is None else code[rays.frame]
    shaded = shade(field, samples, rays.origins, rays.directions, rays.alpha, step, code)
    loss, _ = batch_loss(shaded, rays, step, opacity_weight, distortion_weight)
    return loss, len(samples.t)
