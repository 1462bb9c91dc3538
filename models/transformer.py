"""A plain self-attention transformer in the network's place: what the alignment has to beat.

EmoHead's ablation "w/o audio expression alignment" (table IV): [υ; e; γ] into a typical transformer
that predicts α̃ and τ. With `refinement` off it is the baseline that knows nothing of emotions. As
many layers, and feed-forward layers as wide, as make its parameters those of the network.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models import equations as eq
from models.asked import Asked
from models.config import AudioExpressionConfig
from models.network import Expression, Past, Spoken, unrefined

HEAD_WIDTH = 64
"""Channels of one attention head, as in the transformer's paper; less where d is less."""


class PlainTransformer(nn.Module):
    """Sinusoidal places, pre-norm encoder layers, a linear layer to α̃ and one to τ."""

    def __init__(self, config: AudioExpressionConfig, parameters: int) -> None:
        """Make the weights, about as many as `parameters`."""
        super().__init__()
        self.config = config
        d, widths = config.d, config.widths
        self.e_1 = nn.Linear(widths.audio * (2 * config.context + 1), d)
        self.e_2 = nn.Linear(widths.emotion, d)
        self.e_3 = nn.Linear(widths.text, d)
        self.joint = nn.Linear(3 * d, d)
        self.alpha = nn.Linear(d, config.k)
        self.tau = nn.Linear(d, 1) if config.refinement else None
        fixed = sum(p.numel() for p in self.parameters()) + 2 * d
        layers, hidden = layer_sizes(d, parameters - fixed)
        heads = max(n for n in range(1, max(d // HEAD_WIDTH, 1) + 1) if d % n == 0)
        layer = nn.TransformerEncoderLayer(
            d, heads, hidden, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, layers, nn.LayerNorm(d), enable_nested_tensor=False
        )

    def forward(
        self,
        audio: Float[Tensor, "batch frames audio_width"],
        emotion: Float[Tensor, "batch frames emotion_width"],
        text: Spoken,
        normal: Float[Tensor, "batch frames k"],
        past: Past | None = None,
        asked: Asked | None = None,
    ) -> Expression:
        """Expression of every frame; attention sees the whole window.

        `past` and `asked` are not looked at.
        """
        words = text.membership() @ self.e_3(text.tokens)
        x = self.joint(torch.cat([self.e_1(audio), self.e_2(emotion), words], dim=-1))
        x = self.encoder(x + places(x.shape[1], x.shape[2]).to(x))
        alpha_tilde = self.alpha(x)
        if self.tau is None:
            return unrefined(alpha_tilde)
        tau = self.tau(x)
        return Expression(alpha_tilde, tau, eq.refine(alpha_tilde, tau, normal))


def layer_sizes(d: int, budget: int) -> tuple[int, int]:
    """Layers, and hidden width of each, that spend `budget` parameters; hidden is d or more.

    A layer has 4 d² + 4 d of attention, 2 d h + h + d of feed-forward and 4 d of norms.
    """
    layers = max(1, budget // (6 * d * d + 10 * d))
    hidden = round((budget / layers - 4 * d * d - 9 * d) / (2 * d + 1))
    return layers, max(hidden, 1)


def places(frames: int, d: int) -> Float[Tensor, "frames d"]:
    """Sines and cosines of the frame's number, wavelengths from 2π to 2π · 10⁴."""
    rate = torch.exp(torch.arange(0, d, 2) * (-torch.log(torch.tensor(1e4)) / d))
    angle = torch.arange(frames)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=2).reshape(frames, -1)[:, :d]
