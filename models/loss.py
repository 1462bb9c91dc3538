"""Equation 13: follow one's own face, lean towards another's in the same emotion."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SMALL = 1e-12
"""Under the root, so that a perfect frame has a gradient."""


def frame_distance(
    a: Float[Tensor, "batch frames k"], b: Float[Tensor, "batch frames k"]
) -> Float[Tensor, "batch frames"]:
    """‖a - b‖₂ of each frame, not squared, as the paper writes it.

    With ρ < 1 the own face then stays the optimum of a frame (a weighted median), and the other
    identity decides only what the sound leaves open.
    """
    return torch.sqrt(torch.square(a - b).sum(dim=-1) + SMALL)


def regression_loss(
    alpha_hat: Float[Tensor, "batch frames k"],
    own: Float[Tensor, "batch frames k"],
    own_known: Bool[Tensor, "batch frames"],
    other: Float[Tensor, "batch frames k"],
    other_known: Bool[Tensor, "batch frames"],
    rho: float,
) -> Float[Tensor, ""]:
    """L_reg = ‖α^A - α̂^A‖₂ + ρ ‖α^¬A - α̂^A‖₂ (eq. 13), mean over frames with a face.

    The second term is zero where `other_known` is False: the other clip has no face there, or the
    tag belongs to one identity alone.
    """
    count = own_known.sum().clamp(min=1)
    first = (frame_distance(own, alpha_hat) * own_known).sum() / count
    second = (frame_distance(other, alpha_hat) * (other_known & own_known)).sum() / count
    return first + rho * second
