"""Whatever says which emotion is meant, a label, a voice, words, to one emotion latent (MoEE).

Each input goes through its own layer to one width; learnable tokens attend to those that are there.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

SOURCES = ("label", "voice", "words")
"""What an emotion can be told by."""


@dataclass(frozen=True)
class EmotionInputs:
    """The three inputs of N frames; what is not there may hold anything finite."""

    label: Float[Tensor, "n labels"]
    """Weights, see `models.labels`."""
    voice: Float[Tensor, "n voice_width"]
    """Mean of the emotion feature (emotion2vec) over the frame's window, standardised."""
    words: Float[Tensor, "n words_width"]
    """Mean of the text feature over the window's words, standardised."""
    known: Bool[Tensor, "n three"]
    """Which of `SOURCES` are there."""


class EmotionToLatents(nn.Module):
    """Any subset of the inputs to m tokens; of none of them to tokens that were learnt for that."""

    def __init__(
        self, labels: int, voice: int, words: int, width: int, tokens: int, heads: int = 4
    ) -> None:
        """Make the weights.

        Args:
            labels: channels of the label.
            voice: channels of the voice.
            words: channels of the words.
            width: channels of the latent.
            tokens: m, tokens of the latent (ours: not published).
            heads: attention heads (ours).
        """
        super().__init__()
        self.from_label = nn.Sequential(
            nn.Linear(labels, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.from_voice = nn.Linear(voice, width)
        self.from_words = nn.Linear(words, width)
        self.kind = nn.Parameter(torch.randn(len(SOURCES), width) * 0.5)
        self.nothing = nn.Parameter(torch.randn(width) * 0.5)
        self.tokens = nn.Parameter(torch.randn(tokens, width))
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.after = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, inputs: EmotionInputs) -> Float[Tensor, "n m width"]:
        """The emotion latent of every frame."""
        n = len(inputs.label)
        said = torch.stack(
            [
                self.from_label(inputs.label),
                self.from_voice(inputs.voice),
                self.from_words(inputs.words),
            ],
            dim=1,
        )
        # `nothing` is always there, so that no softmax runs over an empty set.
        sources = torch.cat([self.nothing.expand(n, 1, -1), said + self.kind], dim=1)
        hidden = torch.cat([inputs.known.new_zeros(n, 1), ~inputs.known], dim=1)
        tokens = self.tokens.expand(n, -1, -1)
        seen, _ = self.attention(
            tokens, sources, sources, key_padding_mask=hidden, need_weights=False
        )
        return seen + self.after(seen)
