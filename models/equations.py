"""Equations 1 to 9 of EmoHead (section III-A and III-B), one function each.

Shapes: B windows, T frames, d model width, h = d_h query width, k coefficients. Matrices multiply
from the right, as in the paper: a row is a frame.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional


def project(
    raw: Float[Tensor, "batch frames width"], e: Float[Tensor, "width d"]
) -> Float[Tensor, "batch frames d"]:
    """Eq. 1: υ = υ̃ E₁ (and e, γ alike), a linear map without bias."""
    return raw @ e


def fuse(
    summed: Float[Tensor, "batch pastframes d"], terms: int
) -> Float[Tensor, "batch frames d"]:
    """F(υ, e)_i = Σ_{j = i-terms+1 .. i} (υ_j + e_j), the sum before eq. 2.

    Args:
        summed: υ + e of terms - 1 frames before the window (silence where there are none),
            followed by the window's T frames.
        terms: n + 1 by the paper's formula.
    """
    frames = summed.shape[1] - (terms - 1)
    total = summed[:, :frames]
    for shift in range(1, terms):
        total = total + summed[:, shift : shift + frames]
    return total


def with_silence(
    summed: Float[Tensor, "batch pastframes d"],
    present: Bool[Tensor, "batch past"],
    silence: Float[Tensor, " d"],
) -> Float[Tensor, "batch pastframes d"]:
    """Appendix C, figure 9: frames before the start of the sound are silence."""
    past = present.shape[1]
    head = torch.where(present[..., None], summed[:, :past], silence)
    return torch.cat([head, summed[:, past:]], dim=1)


def correlation(
    x: Float[Tensor, "batch frames d"],
    w_q: Float[Tensor, "d h"],
    w_k: Float[Tensor, "d h"],
) -> Float[Tensor, "batch frames frames"]:
    """Eq. 2 (x = F) and eq. 3 (x = γ): C = x W_q W_kᵀ xᵀ, every frame with every frame."""
    return (x @ w_q) @ (x @ w_k).transpose(1, 2)


def attend(
    scores: Float[Tensor, "batch frames frames"],
    values: Float[Tensor, "batch frames d"],
    w_v: Float[Tensor, "d d"],
    d_h: int,
) -> Float[Tensor, "batch frames d"]:
    """Softmax(C / √d_h) x W_v: eq. 4-5 (C_υe + C_γ; υ), eq. 6 (C_υe; F), eq. 7 (C_γ; γ)."""
    return functional.softmax(scores / d_h**0.5, dim=-1) @ (values @ w_v)


def attend_tokens(
    scores: Float[Tensor, "batch slots slots"],
    frames: Float[Tensor, "batch slots"],
    values: Float[Tensor, "batch slots d"],
    w_v: Float[Tensor, "d d"],
    d_h: int,
) -> Float[Tensor, "batch slots d"]:
    """Eq. 7, each token once: frames of one token have equal scores and equal values.

    The softmax over T frames is one over tokens with log `frames`, the number of frames that speak
    each, added to its score; a slot that no frame speaks weighs nothing.
    """
    return functional.softmax(scores / d_h**0.5 + frames.log()[:, None], dim=-1) @ (values @ w_v)


def concatenated(
    h_audio: Float[Tensor, "batch frames d"],
    h_emotion: Float[Tensor, "batch frames d"],
    h_text: Float[Tensor, "batch frames d"],
) -> Float[Tensor, "batch frames threed"]:
    """[h_υ; h_e; h_γ], what both networks of eq. 8 read."""
    return torch.cat([h_audio, h_emotion, h_text], dim=-1)


def refine(
    alpha_tilde: Float[Tensor, "batch frames k"],
    tau: Float[Tensor, "batch frames 1"],
    normal: Float[Tensor, "batch frames k"],
) -> Float[Tensor, "batch frames k"]:
    """Eq. 9: α̂ = α̃ + τ w_zᵀ, a step of length τ along the unit normal of tag z's hyperplane."""
    return alpha_tilde + tau * normal
