"""The audio-expression network of EmoHead: speech features in, refined expression out."""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models import equations as eq
from models.asked import Asked
from models.config import AudioExpressionConfig
from models.errors import ModelConfigError


class Expression(NamedTuple):
    """What the network says about each frame, in whitened units."""

    alpha_tilde: Float[Tensor, "batch frames k"]
    """Coefficients before refinement (eq. 8)."""
    tau: Float[Tensor, "batch frames 1"]
    """Step along the emotion's normal (eq. 8)."""
    alpha_hat: Float[Tensor, "batch frames k"]
    """Refined coefficients (eq. 9)."""


@dataclass(frozen=True)
class Past:
    """Frames before a window, which F looks back on; absent ones count as silence."""

    audio: Float[Tensor, "batch past audio_width"]
    emotion: Float[Tensor, "batch past emotion_width"]
    present: Bool[Tensor, "batch past"]


@dataclass(frozen=True)
class Spoken:
    """Words of each window: every token once, and which one each frame speaks.

    A word lasts eight frames or so; what depends on the word alone is computed once a word.
    """

    tokens: Float[Tensor, "batch slots text_width"]
    """Zeros for silence, and in slots that a window does not need."""
    slot: Int[Tensor, "batch frames"]

    def membership(self) -> Float[Tensor, "batch frames slots"]:
        """P: 1 where a frame speaks a token. P γ brings γ from tokens to frames."""
        slots = torch.arange(self.tokens.shape[1], device=self.slot.device)
        return (self.slot[..., None] == slots).to(self.tokens.dtype)

    def per_frame(self) -> Float[Tensor, "batch frames text_width"]:
        """The token vector of each frame."""
        return self.membership() @ self.tokens


class AudioExpressionNetwork(nn.Module):
    """Equations 1 to 9.

    Inputs are standardised per channel beforehand (`models.windows.Standardiser`), and `normal` is
    w_z of each frame.
    """

    def __init__(self, config: AudioExpressionConfig) -> None:
        """Make the weights; seed torch before for a reproducible start."""
        super().__init__()
        self.config = config
        d, d_h = config.d, config.d_h
        audio_width = config.widths.audio * (2 * config.context + 1)
        self.e_1 = _matrix(audio_width, d)
        self.e_2 = _matrix(config.widths.emotion, d)
        self.e_3 = _matrix(config.widths.text, d)
        self.silence = nn.Parameter(torch.zeros(d))
        # F is a sum of `terms` strongly correlated frames. Without this gain its correlations
        # start `terms`² too large and the softmax saturated, where no gradient passes.
        gain = 1 / config.terms
        self.w_q1, self.w_k1 = _query_key(d, d_h, config.focus, gain)
        # Frames of one token are equal already; a weaker start leaves room for the sound.
        self.w_q2, self.w_k2 = _query_key(d, d_h, config.focus / 8, 1.0)
        self.w_v1, self.w_v2, self.w_v3 = _matrix(d, d), _matrix(d, d, gain), _matrix(d, d)
        self.ffn_1 = feed_forward(3 * d, config.ffn_widths, config.k, config.activation)
        self.ffn_2 = (
            feed_forward(3 * d, config.ffn_widths, 1, config.activation)
            if config.refinement
            else None
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
        """Expression of every frame of every window.

        Args:
            audio: T frames, widened by `models.windows.stack_context` where there is a context.
            emotion: T frames.
            text: words of the T frames.
            normal: w_z of each frame.
            past: the frames before; None means silence.
            asked: not looked at; an emotion enters by `normal` alone.
        """
        h = self.hidden(audio, emotion, text, past)
        alpha_tilde = self.ffn_1(h)
        if self.ffn_2 is None:
            return unrefined(alpha_tilde)
        tau = self.ffn_2(h)
        return Expression(alpha_tilde, tau, eq.refine(alpha_tilde, tau, normal))

    def hidden(
        self,
        audio: Float[Tensor, "batch frames audio_width"],
        emotion: Float[Tensor, "batch frames emotion_width"],
        text: Spoken,
        past: Past | None = None,
    ) -> Float[Tensor, "batch frames threed"]:
        """[h_υ; h_e; h_γ] of every frame: equations 1 to 7."""
        terms, d_h = self.config.terms, self.config.d_h
        past = past or self._silent_past(audio, emotion)
        audio_all = torch.cat([past.audio, audio], dim=1)
        emotion_all = torch.cat([past.emotion, emotion], dim=1)
        v_all = eq.project(audio_all, self.e_1)
        e_all = eq.project(emotion_all, self.e_2)
        gamma = eq.project(text.tokens, self.e_3)
        v = v_all[:, terms - 1 :]
        fused = eq.fuse(eq.with_silence(v_all + e_all, past.present, self.silence), terms)
        said = text.membership()
        c_ve = eq.correlation(fused, self.w_q1, self.w_k1)
        c_gamma = eq.correlation(gamma, self.w_q2, self.w_k2)
        h_text = eq.attend_tokens(c_gamma, said.sum(dim=1), gamma, self.w_v3, d_h)
        return eq.concatenated(
            eq.attend(c_ve + said @ c_gamma @ said.transpose(1, 2), v, self.w_v1, d_h),
            eq.attend(c_ve, fused, self.w_v2, d_h),
            said @ h_text,
        )

    def _silent_past(self, audio: Tensor, emotion: Tensor) -> Past:
        batch, past = len(audio), self.config.past
        return Past(
            audio.new_zeros(batch, past, audio.shape[2]),
            emotion.new_zeros(batch, past, emotion.shape[2]),
            torch.zeros(batch, past, dtype=torch.bool, device=audio.device),
        )


def unrefined(alpha_tilde: Float[Tensor, "batch frames k"]) -> Expression:
    """Without eq. 9 (an ablation of table IV): τ is zero and α̂ is α̃."""
    return Expression(alpha_tilde, torch.zeros_like(alpha_tilde[..., :1]), alpha_tilde)


def feed_forward(width: int, hidden: tuple[int, ...], out: int, activation: str) -> nn.Sequential:
    """One of the networks of eq. 8: `hidden` layers with `activation`, then a linear layer."""
    kinds: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}
    if activation not in kinds:
        raise ModelConfigError(f"activation {activation!r} is none of {sorted(kinds)}")
    layers: list[nn.Module] = []
    for a, b in pairwise((width, *hidden)):
        layers += [nn.Linear(a, b), kinds[activation]()]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], out))


def _matrix(rows: int, columns: int, gain: float = 1.0) -> nn.Parameter:
    """Entries of variance gain² / rows: a standardised row keeps its variance times gain²."""
    return nn.Parameter(torch.randn(rows, columns) * (gain / rows**0.5))


def _query_key(d: int, d_h: int, focus: float, gain: float) -> tuple[nn.Parameter, nn.Parameter]:
    """W_q = W_k such that x W_q W_kᵀ xᵀ / √d_h is about `focus` for rows with |x|² = d / gain².

    E |x W|² = s² d_h for entries of variance s² gain² / d, so the logit is s² √d_h.
    """
    if focus == 0:
        return _matrix(d, d_h, gain), _matrix(d, d_h, gain)
    w_q = _matrix(d, d_h, gain * (focus / d_h**0.5) ** 0.5)
    return w_q, nn.Parameter(w_q.detach().clone())
