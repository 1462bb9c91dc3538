"""MoEE in the video diffusion model: what says the emotion to a latent, the latent to six experts.

`model.plug(EmotionExperts(...))`; clips carry `told(...)` as their emotion latent, so that the
latents are learnt with the experts.
"""

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from models.experts.latents import EmotionInputs, EmotionToLatents
from models.experts.mixture import ExpertMixture, MixtureConfig


def told(
    frames: int,
    label: Float[np.ndarray, "frames labels"] | None,
    voice: Float[np.ndarray, "frames voice_width"] | None,
    labels: int,
    voice_width: int = 0,
) -> Float32[np.ndarray, "frames 1 channels"]:
    """The track of a clip: label weights and whether they are known, voice and whether it is.

    Args:
        frames: V.
        label: weights (`models.labels`); None: nobody knows.
        voice: emotion feature of the sound, standardised; None: not to be read.
        labels: channels of a label.
        voice_width: channels of the voice.
    """
    track = np.zeros((frames, 1, labels + 1 + voice_width + 1), np.float32)
    if label is not None:
        track[:, 0, :labels] = label
        track[:, 0, labels] = 1
    if voice is not None:
        track[:, 0, labels + 1 : -1] = voice
        track[:, 0, -1] = 1
    return track


class EmotionExperts(nn.Module):
    """X' = X + Σ g_i E_i(X · s_i). Starts as the identity."""

    def __init__(
        self, width: int, labels: int, voice_width: int = 0, latent: int = 64, tokens: int = 4
    ) -> None:
        """Make the weights.

        Args:
            width: `Portrait.mid_width`.
            labels: channels of a label.
            voice_width: channels of the voice; 0: it is never told.
            latent: channels of a token of the latent (ours).
            tokens: of the latent (ours).
        """
        super().__init__()
        self.labels = labels
        # A layer of no channels is none; a voice of one is never known.
        self.voice_width = voice_width
        self.latents = EmotionToLatents(labels, max(1, voice_width), 1, latent, tokens)
        self.mixture = ExpertMixture(MixtureConfig(width, latent))

    @property
    def emotion_width(self) -> int:
        """Channels of `told`'s track: the model's `emotion_width`."""
        return self.labels + 1 + self.voice_width + 1

    def forward(
        self,
        x: Float[Tensor, "batchframes places width"],
        track: Float[Tensor, "batchframes 1 channels"],
    ) -> Float[Tensor, "batchframes places width"]:
        """Mix the experts into the hidden places."""
        said = track[:, 0]
        label, voice = said[:, : self.labels], said[:, self.labels + 1 : -1]
        flags = said[:, [self.labels, -1]] > 0.5
        inputs = EmotionInputs(
            label,
            voice if self.voice_width else said.new_zeros(len(said), 1),
            said.new_zeros(len(said), 1),
            torch.cat([flags, torch.zeros_like(flags[:, :1])], dim=1),
        )
        return self.mixture(x, self.latents(inputs)).x
