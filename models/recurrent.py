"""EMOdiffhead's expression generator: sound, an emotion, its intensity to a track of expression.

Known of it (arXiv 2409.07255; its text was not at hand): an LSTM generator with discriminators
makes the track; category and intensity are given. Its sizes, its losses and its inputs beside the
sound are not known: what is here is ours (docs/decisions/0021).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.asked import Asked
from models.config import AudioExpressionConfig
from models.network import Expression, Past, Spoken, unrefined

LAYERS = 2
"""LSTM layers (ours)."""


class RecurrentGenerator(nn.Module):
    """[sound; words; label] of each frame through a two-way LSTM to the coefficients.

    The voice's emotion feature is not read: category and intensity decide alone. Without a label
    a learnt vector stands in its place.
    """

    def __init__(self, config: AudioExpressionConfig) -> None:
        """Make the weights; seed torch before for a reproducible start."""
        super().__init__()
        self.config = config
        d, widths = config.d, config.widths
        self.sound = nn.Linear(widths.audio * (2 * config.context + 1), d)
        self.words = nn.Linear(widths.text, d)
        self.label = nn.Linear(len(config.labels), d, bias=False)
        self.unlabelled = nn.Parameter(torch.zeros(d))
        self.joint = nn.Sequential(nn.SiLU(), nn.Linear(2 * d, d), nn.SiLU())
        self.lstm = nn.LSTM(d, max(d // 2, 1), LAYERS, batch_first=True, bidirectional=True)
        self.alpha = nn.Linear(2 * max(d // 2, 1) + d, config.k)

    def forward(
        self,
        audio: Float[Tensor, "batch frames audio_width"],
        emotion: Float[Tensor, "batch frames emotion_width"],
        text: Spoken,
        normal: Float[Tensor, "batch frames k"],
        past: Past | None = None,
        asked: Asked | None = None,
    ) -> Expression:
        """Expression of every frame; `emotion`, `normal` and `past` are not looked at."""
        batch, frames = audio.shape[:2]
        asked = asked or Asked.nothing(batch, frames, len(self.config.labels), audio.device)
        words = text.membership() @ self.words(text.tokens)
        x = self.joint(torch.cat([self.sound(audio), words], dim=-1))
        known = asked.known[:, :1, None]
        told = torch.where(known, self.label(asked.label), self.unlabelled)
        track, _ = self.lstm(x + told)
        # The label reaches the output past the LSTM as well: its gates saturate, a sum does not.
        return unrefined(self.alpha(torch.cat([track, told], dim=-1)))
