"""MoEE in the video diffusion model: what says the emotion to one latent, the latent to experts.

Beside each of the denoiser's cross-attentions over space stands a mixture of six experts
(`models.experts.mixture`), whose keys and values are the emotion latent; what it adds is added to
what the cross-attention adds. A fresh mixture adds exactly nothing.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from models.experts.latents import EmotionInputs, EmotionToLatents
from models.experts.mixture import ExpertMixture, MixtureConfig
from render.diffusion.config import ExpertsConfig

Track = Float[Tensor, "batchframes told"]
"""What `told` says of every frame, batch and frames in one axis."""


def told(
    frames: int,
    label: Float[np.ndarray, "frames labels"] | None,
    voice: Float[np.ndarray, "frames voice_width"] | None,
    config: ExpertsConfig,
) -> Float32[np.ndarray, "frames told"]:
    """The track of a clip: label weights and whether they are known, voice and whether it is.

    Args:
        frames: V.
        label: weights (`models.labels`); None: nobody knows.
        voice: emotion feature of the sound, standardised; None: not to be read.
        config: whose experts are told.
    """
    labels = len(config.labels)
    track = np.zeros((frames, config.told_width), np.float32)
    if label is not None:
        track[:, :labels] = label
        track[:, labels] = 1
    if voice is not None:
        track[:, labels + 1 : -1] = voice
        track[:, -1] = 1
    return track


class VideoExperts(nn.Module):
    """One emotion latent a frame, and a mixture of experts for each chosen layer."""

    def __init__(self, config: ExpertsConfig, widths: Mapping[str, int]) -> None:
        """Make the weights.

        Args:
            config: sizes.
            widths: channels of each cross-attention the experts stand beside, by its name.
        """
        super().__init__()
        self.config = config
        # A layer of no channels is none; a voice of one is never known.
        self.latents = EmotionToLatents(
            len(config.labels), max(1, config.voice_width), 1, config.latent, config.tokens,
            config.heads,
        )  # fmt: skip
        self.mixtures = nn.ModuleDict(
            {
                key_of(name): ExpertMixture(
                    MixtureConfig(
                        width, config.latent, config.inner, config.heads, config.local_gate,
                        config.global_gate,
                    )
                )
                for name, width in widths.items()
            }
        )  # fmt: skip

    def latent(self, track: Track) -> Float[Tensor, "batchframes m latent"]:
        """The emotion latent of every frame."""
        labels = len(self.config.labels)
        voice = track[:, labels + 1 : -1] if self.config.voice_width else track[:, :1] * 0
        flags = track[:, [labels, -1]] > 0.5
        inputs = EmotionInputs(
            track[:, :labels],
            voice,
            torch.zeros_like(track[:, :1]),
            torch.cat([flags, torch.zeros_like(flags[:, :1])], dim=1),
        )
        return self.latents(inputs)

    def added(
        self,
        name: str,
        x: Float[Tensor, "batchframes places width"],
        latent: Float[Tensor, "batchframes m latent"],
    ) -> Float[Tensor, "batchframes places width"]:
        """Σ g_i E_i(X · s_i) of the layer called `name`."""
        return self.mixtures[key_of(name)](x, latent).x - x


def key_of(name: str) -> str:
    """A layer's name as a module may be called."""
    return name.replace(".", "-")
