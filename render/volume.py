"""Volume rendering of packed samples: equations 11 and 12, the discrete form.

T_i = exp(-sum_{j<i} σ_j δ_j)   (equation 12; the paper's text drops the minus sign)
w_i = T_i (1 - exp(-σ_i δ_i)),  C = sum_i w_i c_i,  opacity A = sum_i w_i = 1 - T behind the last
sample.

Samples of all rays lie in one list, those of a ray together and in order; `ray` names each one's
ray.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def transmittance(
    optical: Float[Tensor, " samples"], ray: Int[Tensor, " samples"]
) -> Float[Tensor, " samples"]:
    """T in front of each sample from optical depths σ δ.

    Optical depths [1, 2, 3] of one ray give [1, e^-1, e^-3].
    """
    if len(optical) == 0:
        return optical
    # float64: the running sum goes over all rays of a batch before each ray's start is taken off.
    before = torch.cumsum(optical.double(), 0) - optical.double()
    starts = torch.ones_like(ray, dtype=torch.bool)
    starts[1:] = ray[1:] != ray[:-1]
    segment = torch.cumsum(starts.long(), 0) - 1
    before = before - before[starts][segment]
    return torch.exp(-before).to(optical.dtype)


def render_weights(
    sigma: Float[Tensor, " samples"],
    delta: Float[Tensor, " samples"],
    ray: Int[Tensor, " samples"],
) -> Float[Tensor, " samples"]:
    """w of each sample."""
    optical = sigma * delta
    return transmittance(optical, ray) * -torch.expm1(-optical)


def accumulate(
    weights: Float[Tensor, " samples"],
    values: Float[Tensor, "samples channels"],
    ray: Int[Tensor, " samples"],
    n_rays: int,
) -> Float[Tensor, "rays channels"]:
    """Sum of w v over each ray's samples; zero for a ray without samples."""
    out = torch.zeros(n_rays, values.shape[1], dtype=values.dtype, device=values.device)
    return out.index_add(0, ray, weights[:, None] * values)


def render_packed(
    colour: Float[Tensor, "samples 3"],
    sigma: Float[Tensor, " samples"],
    delta: Float[Tensor, " samples"],
    ray: Int[Tensor, " samples"],
    n_rays: int,
) -> tuple[Float[Tensor, "rays 3"], Float[Tensor, " rays"]]:
    """Colour (over black) and opacity of each ray."""
    weights = render_weights(sigma, delta, ray)
    ones = torch.ones_like(weights[:, None])
    rgb = accumulate(weights, colour, ray, n_rays)
    return rgb, accumulate(weights, ones, ray, n_rays)[:, 0]
