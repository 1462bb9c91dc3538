"""MoEE's experts in the audio-expression network: their effect can be measured without a GPU.

Equations 1 to 7 give each frame a hidden vector; the experts move it by the emotion latent; the
feed-forward network of equation 8 reads the result. No hyperplane is used.
"""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor, nn

from models.asked import Asked
from models.config import AudioExpressionConfig
from models.experts.latents import EmotionInputs, EmotionToLatents
from models.experts.mixture import ExpertMixture, MixtureConfig
from models.network import AudioExpressionNetwork, Expression, Past, Spoken, unrefined


class ExpertNetwork(nn.Module):
    """Stage 1 trains `base`; stage 2 trains `latents` and `mixture` with `base` held still."""

    def __init__(self, config: AudioExpressionConfig) -> None:
        """Make the weights; seed torch before for a reproducible start."""
        super().__init__()
        self.config = config
        self.base = AudioExpressionNetwork(
            replace(config, architecture="emohead", refinement=False)
        )
        width = 2 * config.expert_width
        self.latents = EmotionToLatents(
            len(config.labels), config.widths.emotion, config.widths.text, width,
            config.latent_tokens,
        )  # fmt: skip
        self.mixture = ExpertMixture(mixture_of(config, width))
        self.stage = 2
        """1: the experts are left out."""

    def forward(
        self,
        audio: Float[Tensor, "batch frames audio_width"],
        emotion: Float[Tensor, "batch frames emotion_width"],
        text: Spoken,
        normal: Float[Tensor, "batch frames k"],
        past: Past | None = None,
        asked: Asked | None = None,
    ) -> Expression:
        """Expression of every frame; `normal` is not looked at. See `AudioExpressionNetwork`."""
        h = self.base.hidden(audio, emotion, text, past)
        if self.stage == 2 and self.config.experts:
            batch, frames = h.shape[:2]
            asked = asked or Asked.nothing(batch, frames, len(self.config.labels), h.device)
            latent = self.latents(inputs_of(emotion, text, asked))
            h = self.mixture(h.flatten(0, 1)[:, None], latent).x.view_as(h)
        return unrefined(self.base.ffn_1(h))

    def enter(self, stage: int) -> None:
        """Hold still what the other stage trains."""
        self.stage = stage
        self.base.requires_grad_(stage == 1)
        self.latents.requires_grad_(stage == 2)
        self.mixture.requires_grad_(stage == 2)


def mixture_of(config: AudioExpressionConfig, latent_width: int) -> MixtureConfig:
    """The six experts, or as many parameters in one cross-attention without gates."""
    six = MixtureConfig(
        3 * config.d, latent_width, config.expert_width, global_gate=config.global_gate
    )
    if not config.plain:
        return six
    return replace(
        six, inner=six.count * six.inner, heads=six.count * six.heads, count=1,
        local_gate=False, global_gate=False,
    )  # fmt: skip


def inputs_of(
    emotion: Float[Tensor, "batch frames emotion_width"], text: Spoken, asked: Asked
) -> EmotionInputs:
    """The three sources of every frame: its label, its window's voice, its window's words.

    A window in which nobody speaks has no words, whatever `asked` allows.
    """
    batch, frames = emotion.shape[:2]
    spoken = (text.tokens != 0).any(dim=2)
    words = text.tokens.sum(dim=1) / spoken.sum(dim=1, keepdim=True).clamp(min=1)
    known = asked.known.clone()
    known[:, 2] &= spoken.any(dim=1)

    def each(window: Tensor) -> Tensor:
        return window[:, None].expand(-1, frames, -1).reshape(batch * frames, -1)

    voice = emotion.mean(dim=1)
    return EmotionInputs(asked.label.flatten(0, 1), each(voice), each(words), each(known))


def is_expert(name: str) -> bool:
    """Whether a parameter belongs to the second stage."""
    return name.startswith(("latents.", "mixture."))


def stage_of(step: int, steps: int, stage_1: float) -> int:
    """1 for the first `stage_1` of the steps, then 2.

    >>> [stage_of(step, 4, 0.5) for step in range(4)]
    [1, 1, 2, 2]
    """
    return 1 if step < round(steps * stage_1) else 2
