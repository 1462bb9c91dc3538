"""What determines a portrait model: its network, how it is trained, how it is sampled."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from dataclasses import field as made
from typing import Any, Literal

from models.config import LABELS
from render.errors import ConfigError

Space = Literal["pixel", "latent"]
Prediction = Literal["sample", "v_prediction"]

FREE = ("steps", "seconds", "report_every", "save_every", "tensorboard", "threads", "device")
"""Settings of a training that may change between two runs of it: the second goes on."""


@dataclass(frozen=True)
class ExpertsConfig:
    """MoEE's six emotion experts in the denoiser (`render.diffusion.experts`).

    Where they stand and all sizes are ours: not published, or not known to us.
    """

    where: str = "every"
    """Beside each cross-attention over space; `middle`: beside that of the middle block alone."""
    labels: tuple[str, ...] = LABELS
    """Emotions that can be asked for; weights of them are told."""
    voice_width: int = 0
    """Channels of the voice's emotion feature; 0: the voice is never told."""
    latent: int = 64
    """Channels of a token of the emotion latent."""
    tokens: int = 4
    """Tokens of it."""
    inner: int = 64
    """Channels of an expert's queries, keys and values, all heads together."""
    heads: int = 4
    """Attention heads."""
    local_gate: bool = True
    """A sigmoid gate a place and expert; without it every expert sees X itself."""
    global_gate: bool = True
    """A softmax gate an expert; without it every expert counts 1/6."""

    def __post_init__(self) -> None:
        """Refuse sizes that are none.

        Raises:
            ConfigError: names the value and what it must be.
        """
        least = {"voice_width": 0, "latent": 1, "tokens": 1, "inner": 1, "heads": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(
                    f"portrait: experts.{name} = {getattr(self, name)}; it must be at least {low}"
                )
        if self.inner % self.heads or self.latent % self.heads:
            raise ConfigError(
                f"portrait: experts of {self.inner} channels and a latent of {self.latent} are not "
                f"divided by {self.heads} heads; change one of them"
            )
        if self.where not in ("every", "middle"):
            raise ConfigError(
                f"portrait: experts.where = {self.where!r}; it must be every or middle"
            )

    @property
    def told_width(self) -> int:
        """Channels of a frame of `render.diffusion.experts.told`."""
        return len(self.labels) + 1 + self.voice_width + 1

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ExpertsConfig":
        """Undo `asdict` after JSON.

        Raises:
            ConfigError: a name that is not a setting.
        """
        return cls(**_known(cls, values, "experts"))


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes. The defaults train on a CPU; `paper_scale` is for an SD-1.5-format folder.

    EMOdiffhead's sizes are not known to us (docs/decisions/0017): all values are ours.
    """

    size: int = 64
    """Side of the frames, pixels."""
    space: Space = "pixel"
    """Diffuse blocks of pixels, or the latents of an autoencoder."""
    block: int = 4
    """Pixel space: a block of block x block pixels becomes one place with 3 block² channels."""
    vae: str | None = None
    """Latent space: folder of an AutoencoderKL in diffusers' format."""
    unet: str | None = None
    """Folder of a UNet2DConditionModel in diffusers' format, whose weights denoiser and reference
    branch start from; None: random weights of the sizes below."""
    channels: tuple[int, ...] = (64, 128)
    """Channels of each level; each is half as wide as the one before."""
    layers: int = 1
    """Residual blocks a level."""
    heads: int = 4
    """Attention heads, over space and over time."""
    groups: int = 16
    """Groups of the group normalisations."""
    token_width: int = 128
    """Channels of the tokens that cross-attention reads; those of `unet` where it is given."""
    frames: int = 8
    """Frames that are denoised together."""
    motion_frames: int = 2
    """Clean frames of what came before, put in front of them."""
    audio_margin: int = 2
    """m: frame i hears frames i-m..i+m, one token each."""
    expression_tokens: int = 4
    """Tokens that one frame's coefficients become."""
    coefficients: bool = True
    """Read them; MoEE's video model has none: sound and experts alone make the expression."""
    experts: ExpertsConfig | None = None
    """MoEE's emotion experts; None: there are none."""

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit together.

        Raises:
            ConfigError: names the value and what it must be.
        """
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ConfigError(
                    f"portrait: {name} = {getattr(self, name)}; it must be at least {least}"
                )
        if self.space == "latent" and self.vae is None:
            raise ConfigError(
                "portrait: space is 'latent' without an autoencoder; set vae to a folder in "
                "diffusers' format, or space to 'pixel'"
            )
        if self.space == "pixel":
            step = self.block * 2 ** (len(self.channels) - 1)
            if self.size % step:
                raise ConfigError(
                    f"portrait: frames of {self.size} px are no multiple of {step} (blocks of "
                    f"{self.block} px, {len(self.channels)} levels); take a multiple"
                )
        if self.unet is None:
            for channels in self.channels:
                if channels % self.groups or channels % self.heads:
                    raise ConfigError(
                        f"portrait: {channels} channels are not divided by {self.groups} groups "
                        f"and {self.heads} heads; change one of them"
                    )

    @classmethod
    def paper_scale(cls, unet: str, vae: str) -> "NetworkConfig":
        """Latents of 512² frames, Stable Diffusion 1.5's UNet, Hallo's 14 + 2 frames."""
        return cls(
            size=512, space="latent", unet=unet, vae=vae, heads=8, groups=32, frames=14,
            expression_tokens=4,
        )  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "NetworkConfig":
        """Undo `asdict` after JSON.

        Raises:
            ConfigError: a name that is not a setting.
        """
        known = _known(cls, values, "network")
        if isinstance(known.get("experts"), Mapping):
            known["experts"] = ExpertsConfig.from_dict(known["experts"])
        return cls(**known)


_LEAST = {
    "size": 16, "block": 1, "layers": 1, "heads": 1, "groups": 1, "token_width": 1, "frames": 1,
    "motion_frames": 0, "audio_margin": 0, "expression_tokens": 1,
}  # fmt: skip


@dataclass(frozen=True)
class NoiseConfig:
    """The way from a frame to noise. Zero terminal SNR: the last step is noise alone."""

    steps: int = 1000
    """Steps of the chain."""
    schedule: str = "squaredcos_cap_v2"
    """diffusers' name of the betas; Stable Diffusion was trained with `scaled_linear`."""
    shift: float = 1.0
    """Divides the root of every step's SNR: large frames still show who smiles where the same
    noise has drowned small ones ("simple diffusion", arXiv 2301.11093)."""
    prediction: Prediction = "sample"
    """What the network gives: the clean frame, or v (Salimans and Ho, arXiv 2202.00512)."""
    snr_floor: float = 1.0
    """Least weight of the clean frame's squared error ("truncated SNR", same paper): without it
    the step of pure noise, where sampling starts, would not be learnt."""
    snr_gamma: float = 5.0
    """Largest weight of it ("min-SNR", arXiv 2303.09556)."""

    def __post_init__(self) -> None:
        """Refuse weights that would be zero or upside down."""
        if not 0 < self.shift < float("inf"):
            raise ConfigError(f"portrait: shift = {self.shift}; must be above 0")
        if self.steps < 2 or not 0 < self.snr_floor <= self.snr_gamma:
            raise ConfigError(
                f"portrait: steps = {self.steps}, snr_floor = {self.snr_floor}, snr_gamma = "
                f"{self.snr_gamma}; need steps > 1 and 0 < snr_floor <= snr_gamma"
            )


@dataclass(frozen=True)
class PortraitTraining:
    """Everything that determines a portrait model besides its data."""

    network: NetworkConfig = made(default_factory=NetworkConfig)
    """The network."""
    noise: NoiseConfig = made(default_factory=NoiseConfig)
    """The chain."""
    steps: int = 30000
    """Optimiser steps (Hallo's second stage: 30,000)."""
    seconds: float | None = None
    """Time budget that ends training before `steps`; None: none."""
    batch: int = 1
    """Windows a step."""
    learning_rate: float = 5e-4
    """AdamW's; constant after the warm-up. For pretrained weights take 1e-5, as Hallo does."""
    warm_up: int = 20
    """Steps in which the learning rate rises from zero."""
    weight_decay: float = 0.01
    """AdamW's."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.999
    """Decay of the running mean of the weights that is sampled from; young means forget faster."""
    drop_audio: float = 0.05
    """Share of windows that hear nothing (for guidance)."""
    drop_expression: float = 0.05
    """Share of windows whose expression, and emotion, is unknown."""
    drop_reference: float = 0.05
    """Share of windows without the identity picture."""
    drop_motion: float = 0.2
    """Share of windows without motion frames, besides those that begin a clip: a video's first."""
    moving_weight: float = 0.0
    """What brows, eyes and lips count more in the loss than the rest of the picture (1 + this;
    the skin around them a quarter of it): they are a twentieth of a frame. 0: all count alike."""
    emotion_free: bool = True
    """Learn from clips without an emotion label, too: the coefficients of all clips are known."""
    frozen: bool = False
    """Hold all still but the experts: MoEE's second stage, which begins with a finished model."""
    seed: int = 0
    """Of initial values, windows, pictures, drops, noise."""
    threads: int | None = None
    """PyTorch's threads; None leaves them."""
    device: str = "cpu"
    """Where it is trained."""
    report_every: int = 25
    """Steps between reports; a report is the mean over them."""
    save_every: float = 120.0
    """Seconds between checkpoints."""
    tensorboard: bool = False
    """Write scalars."""

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        for name in ("drop_audio", "drop_expression", "drop_reference", "drop_motion"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"portrait: {name} = {getattr(self, name)}; must be 0 to 1")
        if self.steps < 1 or self.batch < 1 or self.report_every < 1:
            raise ConfigError(
                f"portrait: steps = {self.steps}, batch = {self.batch}, report_every = "
                f"{self.report_every}; all must be at least 1"
            )
        if self.frozen and self.network.experts is None:
            raise ConfigError(
                "portrait: frozen without experts: nothing would be learnt; set network.experts, "
                "or leave frozen out"
            )
        if not 0 <= self.moving_weight < float("inf"):
            raise ConfigError(f"portrait: moving_weight = {self.moving_weight}; must be 0 or more")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"portrait: ema = {self.ema}; must be at least 0 and below 1")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PortraitTraining":
        """Undo `to_dict` after JSON.

        Raises:
            ConfigError: a name that is not a setting.
        """
        known = _known(cls, values, "training")
        if "network" in known:
            known["network"] = NetworkConfig.from_dict(known["network"])
        if "noise" in known:
            known["noise"] = NoiseConfig(**_known(NoiseConfig, known["noise"], "noise"))
        return cls(**known)


def _known(cls: type, values: Mapping[str, Any], what: str) -> dict[str, Any]:
    names = [f.name for f in fields(cls)]
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ConfigError(
            f"portrait: unknown {what} setting(s) {', '.join(unknown)}; known: {', '.join(names)}"
        )
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
