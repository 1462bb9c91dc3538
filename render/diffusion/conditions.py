"""What a video is to show, and how the denoiser is told: tokens of every frame, and one vector."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from render.diffusion.config import NetworkConfig


@dataclass(frozen=True)
class Conditions:
    """Of T frames, motion frames included. What is not known may hold anything finite."""

    audio: Float[Tensor, "batch frames near audio_width"]
    """Features of frames i-m..i+m, as the store has them."""
    inside: Bool[Tensor, "batch frames near"]
    """Which of those the clip has."""
    expression: Float[Tensor, "batch frames k"]
    """Coefficients."""
    expressed: Bool[Tensor, "batch frames"]
    """Whether they are known."""
    hears: Bool[Tensor, " batch"]
    """Whether the window hears its audio (guidance drops it)."""
    feels: Bool[Tensor, " batch"]
    """Whether it is told its expression and emotion."""
    sees: Bool[Tensor, " batch"]
    """Whether it sees the identity picture."""
    asked: Float[Tensor, "batch frames told"] | None = None
    """What is known of every frame's emotion (`render.diffusion.experts.told`), for models with
    experts; None: nothing."""

    def told(self, hears: bool, feels: bool, sees: bool) -> "Conditions":
        """The same, with some of it dropped or not for all windows."""
        return replace(
            self,
            hears=torch.full_like(self.hears, hears),
            feels=torch.full_like(self.feels, feels),
            sees=torch.full_like(self.sees, sees),
        )

    def to(self, device: str | torch.device) -> "Conditions":
        """The same on another device."""
        moved: dict[str, Any] = {
            name: None if value is None else value.to(device) for name, value in vars(self).items()
        }
        return Conditions(**moved)


class Told(NamedTuple):
    """What the denoiser reads."""

    tokens: Float[Tensor, "batchframes tokens width"]
    """For cross-attention."""
    vector: Float[Tensor, "batchframes embedding"]
    """For every residual block, beside the step of the chain."""


class ConditionTokens(nn.Module):
    """Conditions to tokens. Inputs are standardised with statistics that travel in the state."""

    audio_mean: Tensor
    audio_std: Tensor
    expression_mean: Tensor
    expression_std: Tensor

    def __init__(
        self, config: NetworkConfig, audio: int, k: int, width: int, embedding: int
    ) -> None:
        """Make the weights.

        Args:
            config: numbers of tokens.
            audio: channels of the audio feature.
            k: coefficients of a frame.
            width: channels of a token.
            embedding: channels of the vector; it starts at zero.
        """
        super().__init__()
        near, spoken = 2 * config.audio_margin + 1, config.expression_tokens
        for name, channels in (("audio", audio), ("expression", k)):
            self.register_buffer(f"{name}_mean", torch.zeros(channels))
            self.register_buffer(f"{name}_std", torch.ones(channels))
        self.from_audio = nn.Linear(audio, width)
        self.place = nn.Parameter(torch.randn(near, width) * 0.1)
        self.outside = nn.Parameter(torch.randn(width) * 0.1)
        self.unheard = nn.Parameter(torch.randn(width) * 0.1)
        self.from_expression = nn.Sequential(
            nn.Linear(k, width), nn.SiLU(), nn.Linear(width, spoken * width)
        )
        self.unfelt = nn.Parameter(torch.randn(spoken, width) * 0.1)
        self.to_vector = nn.Sequential(
            nn.Linear((near + spoken) * width, width), nn.SiLU(), nn.Linear(width, embedding)
        )
        nn.init.zeros_(self.to_vector[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.to_vector[-1].bias)  # type: ignore[arg-type]
        self.coefficients = config.coefficients

    def forward(self, c: Conditions) -> Told:
        """Tokens and vector, batch and frames in one axis."""
        audio = self.from_audio((c.audio - self.audio_mean) / self.audio_std)
        audio = torch.where(c.inside[..., None], audio, self.outside)
        audio = torch.where(c.hears[:, None, None, None], audio, self.unheard) + self.place
        felt = self.from_expression((c.expression - self.expression_mean) / self.expression_std)
        felt = felt.unflatten(-1, (-1, audio.shape[-1]))
        known = c.expressed & c.feels[:, None] & self.coefficients
        felt = torch.where(known[..., None, None], felt, self.unfelt)
        tokens = torch.cat([audio, felt], dim=2).flatten(0, 1)
        vector = self.to_vector(tokens.flatten(1))
        return Told(tokens, vector)
