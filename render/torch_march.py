"""Samples along rays in PyTorch, on any device: the same lattice as `render.kernels.ray_tile`.

All lattice points of all rays are looked up in the occupancy at once; those that count are packed
ray after ray. With a fixed capacity every shape is known beforehand and nothing waits for the
device, which is what a CUDA graph needs.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """Packed samples, a ray's together and in order.

    With a capacity, the places behind the last sample belong to ray number `rays`, which does not
    exist.
    """

    ray: Int[Tensor, " samples"]
    t: Float[Tensor, " samples"]
    """Distance along the ray, box sides."""
    first: Int[Tensor, " rays"]
    """Where each ray's samples begin (its end if it has none)."""
    wanted: Int[Tensor, ""]
    """Number of samples before any was dropped for want of room."""
    hit: Int[Tensor, ""]
    """Rays with at least one."""


def enter_box(
    origins: Float[Tensor, "rays 3"], directions: Float[Tensor, "rays 3"]
) -> tuple[Float[Tensor, " rays"], Float[Tensor, " rays"]]:
    """Distances where each ray enters and leaves the unit cube; far < near if it misses."""
    parallel = directions.abs() < 1e-9
    inverse = 1 / torch.where(parallel, torch.ones_like(directions), directions)
    a, b = -origins * inverse, (1 - origins) * inverse
    outside = (origins < 0) | (origins > 1)
    # A ray along a face crosses its slab never, or everywhere.
    low = torch.where(parallel, torch.where(outside, 1e9, -1e9), torch.minimum(a, b))
    high = torch.where(parallel, torch.where(outside, -1e9, 1e9), torch.maximum(a, b))
    return low.amax(1).clamp(min=0), high.amin(1)


def march(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    jitter: Float[Tensor, " rays"],
    occupied: Bool[Tensor, "z y x"],
    step: float,
    max_samples: int,
    capacity: int | None = None,
) -> Samples:
    """Samples at near + (jitter + i) step in occupied cells, the first `max_samples` of each ray.

    Rays are in box coordinates. capacity: places in the result; None packs exactly (and waits for
    the device to count).
    """
    rays = len(origins)
    near, far = enter_box(origins, directions)
    i = torch.arange(math.ceil(math.sqrt(3) / step) + 1, device=origins.device)
    t = near[:, None] + (jitter[:, None] + i) * step
    keep = t < far[:, None]
    res = occupied.shape[0]
    cell = torch.zeros_like(t, dtype=torch.long)
    for axis in (2, 1, 0):
        x = origins[:, axis, None] + t * directions[:, axis, None]
        cell = cell * res + (x * res).long().clamp(0, res - 1)
    keep = keep & occupied.reshape(-1)[cell]
    keep = keep & (torch.cumsum(keep, 1) <= max_samples)
    count = keep.sum(1)
    first = torch.cumsum(count, 0) - count
    wanted, hit = count.sum(), (count > 0).sum()
    if capacity is None:
        ray, slot = keep.nonzero(as_tuple=True)
        return Samples(ray, t[ray, slot], first, wanted, hit)
    place = (torch.cumsum(keep.reshape(-1), 0) - 1).reshape(keep.shape)
    # What has no place goes to one behind the last, which is cut off.
    place = torch.where(keep & (place < capacity), place, capacity).reshape(-1)
    number = torch.arange(rays, device=origins.device)[:, None].expand_as(t)
    ray = torch.full((capacity + 1,), rays, dtype=torch.long, device=origins.device)
    at = torch.zeros(capacity + 1, dtype=t.dtype, device=origins.device)
    ray = ray.scatter(0, place, number.reshape(-1))[:capacity]
    at = at.scatter(0, place, t.reshape(-1))[:capacity]
    return Samples(ray, at, first.clamp(max=capacity - 1), wanted, hit)


def part_of(samples: Samples, chosen: Bool[Tensor, " samples"]) -> Samples:
    """Some of the samples, packed again (waits for the device)."""
    ray = samples.ray[chosen]
    count = torch.bincount(ray, minlength=len(samples.first))
    first = torch.cumsum(count, 0) - count
    return Samples(ray, samples.t[chosen], first, count.sum(), (count > 0).sum())


def compositing_weights(
    optical: Float[Tensor, " samples"], samples: Samples
) -> Float[Tensor, " samples"]:
    """w_i = T_i (1 - e^{-σ_i δ}), T_i = exp(-sum of σ δ before i on its ray): equations 11 and 12.

    float64 inside: the running sum goes over all rays before each ray's start is taken off.
    """
    if len(optical) == 0:
        return optical
    before = torch.cumsum(optical.double(), 0) - optical.double()
    own = samples.ray.clamp(max=len(samples.first) - 1)
    start = before[samples.first.clamp(max=len(optical) - 1)[own]]
    through = torch.exp(-(before - start)).to(optical.dtype)
    there = (samples.ray < len(samples.first)).to(optical.dtype)
    return through * -torch.expm1(-optical) * there


def distortion(
    weights: Float[Tensor, " samples"], samples: Samples, step: float
) -> Float[Tensor, " rays"]:
    """sum_ij w_i w_j |t_i - t_j| + 1/3 sum_i w_i^2 δ of each ray (Mip-NeRF 360, equation 15).

    With samples in order the double sum is 2 sum_i w_i (t_i W_<i - V_<i), W and V running sums of
    w, w t.
    """
    rays = len(samples.first)
    if len(weights) == 0:
        return weights.new_zeros(rays)
    w, t = weights.double(), samples.t.double()
    own = samples.ray.clamp(max=rays - 1)
    start = samples.first.clamp(max=len(weights) - 1)[own]
    w_before = torch.cumsum(w, 0) - w
    v_before = torch.cumsum(w * t, 0) - w * t
    w_before, v_before = w_before - w_before[start], v_before - v_before[start]
    pairs = 2 * w * (t * w_before - v_before) + w * w * step / 3
    out = torch.zeros(rays + 1, dtype=torch.float64, device=weights.device)
    return out.index_add(0, samples.ray, pairs)[:rays].to(weights.dtype)


def per_ray(
    weights: Float[Tensor, " samples"], values: Float[Tensor, "samples channels"], samples: Samples
) -> Float[Tensor, "rays channels"]:
    """Sum of w v over each ray's samples; zero for a ray without samples."""
    rays = len(samples.first)
    out = values.new_zeros(rays + 1, values.shape[1])
    return out.index_add(0, samples.ray, weights[:, None] * values)[:rays]
