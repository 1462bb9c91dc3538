"""Six experts that each know one emotion, and the gates that mix them.

MoEE (arXiv 2501.01808), as far as it is known to us (its text was not at hand; decision 21):

    s  = sigmoid(G(X, φ))      one gate a token and expert
    g  = softmax(G(Pool(X), w)) one gate an expert for the whole
    X' = X + Σ_i g_i E_i(X · s_i)

E_i is cross-attention whose keys and values are the emotion latent.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelConfigError

EXPERTS = ("happy", "sad", "angry", "disgusted", "fear", "surprised")
"""Basic emotions of MoEE, by emohead's names."""


@dataclass(frozen=True)
class MixtureConfig:
    """Sizes of a mixture, and which of its parts are there (the paper's ablations)."""

    width: int
    """Channels of a token of X."""
    latent_width: int
    """Channels of a token of the emotion latent."""
    inner: int = 64
    """Channels of queries, keys and values, all heads together (ours: not published)."""
    heads: int = 4
    """Attention heads (ours)."""
    local_gate: bool = True
    """s; without it every expert sees X itself."""
    global_gate: bool = True
    """g; without it all experts count alike."""
    gate_reads_latent: bool = True
    """g also reads the mean of the emotion latent (ours). X knows what is asked for only through
    what the layers below were told; here they are told nothing of the label."""
    count: int = len(EXPERTS)
    """Experts; 1 without gates is plain cross-attention (an ablation)."""

    def __post_init__(self) -> None:
        """Refuse heads that do not divide the channels."""
        if min(self.width, self.latent_width, self.inner, self.heads, self.count) < 1:
            raise ModelConfigError(f"{self} has a size below 1")
        if self.inner % self.heads:
            raise ModelConfigError(
                f"inner is {self.inner}, which {self.heads} heads do not divide; give a multiple"
            )


class Mixed(NamedTuple):
    """X', and what the gates said."""

    x: Float[Tensor, "batch tokens width"]
    global_gate: Float[Tensor, "batch experts"]
    local_gate: Float[Tensor, "batch tokens experts"]


class ExpertMixture(nn.Module):
    """X → X'. Starts as the identity: the experts' last layer is zero."""

    def __init__(self, config: MixtureConfig) -> None:
        """Make the weights of all experts, stacked, so that six cost one call."""
        super().__init__()
        self.config = config
        n, c = config.count, config
        self.local = nn.Linear(c.width, n) if c.local_gate else None
        gate_width = c.width + (c.latent_width if c.gate_reads_latent else 0)
        self.whole = nn.Linear(gate_width, n) if c.global_gate else None
        self.norm = nn.LayerNorm(c.width)
        self.query = nn.Parameter(torch.randn(n, c.width, c.inner) * c.width**-0.5)
        self.key = nn.Parameter(torch.randn(n, c.latent_width, c.inner) * c.latent_width**-0.5)
        self.value = nn.Parameter(torch.randn(n, c.latent_width, c.inner) * c.latent_width**-0.5)
        self.out = nn.Parameter(torch.zeros(n, c.inner, c.width))

    def forward(
        self,
        x: Float[Tensor, "batch tokens width"],
        latent: Float[Tensor, "batch m latent_width"],
    ) -> Mixed:
        """Mix.

        Args:
            x: tokens of one frame (a picture's), or one token for a frame's hidden vector.
            latent: emotion latent of the same frame.
        """
        local = self._local(x)
        whole = self._whole(x, latent)
        each = self.experts(x, latent, local)
        return Mixed(x + torch.einsum("be,betw->btw", whole, each), whole, local)

    def experts(
        self,
        x: Float[Tensor, "batch tokens width"],
        latent: Float[Tensor, "batch m latent_width"],
        local: Float[Tensor, "batch tokens experts"],
    ) -> Float[Tensor, "batch experts tokens width"]:
        """E_i(X · s_i) of every expert."""
        gated = self.norm(x)[:, None] * local.transpose(1, 2)[..., None]
        q = self._heads(torch.einsum("betw,ewc->betc", gated, self.query))
        k = self._heads(torch.einsum("bmw,ewc->bemc", latent, self.key))
        v = self._heads(torch.einsum("bmw,ewc->bemc", latent, self.value))
        seen = functional.scaled_dot_product_attention(q, k, v)
        return torch.einsum("betc,ecw->betw", seen.transpose(2, 3).flatten(3), self.out)

    def _heads(self, x: Float[Tensor, "batch experts tokens inner"]) -> Tensor:
        return x.unflatten(-1, (self.config.heads, -1)).transpose(2, 3)

    def _local(self, x: Tensor) -> Tensor:
        if self.local is None:
            return x.new_ones(*x.shape[:2], self.config.count)
        return torch.sigmoid(self.local(x))

    def _whole(self, x: Tensor, latent: Tensor) -> Tensor:
        if self.whole is None:
            return x.new_full((len(x), self.config.count), 1 / self.config.count)
        pooled = x.mean(dim=1)
        if self.config.gate_reads_latent:
            pooled = torch.cat([pooled, latent.mean(dim=1)], dim=1)
        return torch.softmax(self.whole(pooled), dim=1)
