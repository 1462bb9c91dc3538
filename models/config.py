"""Sizes of the audio-expression network; the paper's numbers are the defaults."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from models.errors import ModelConfigError
from pipeline.datasets.emotions import CANONICAL

LABELS = tuple(tag for tag in CANONICAL if tag != "neutral")
"""Tags with a weight of their own in a label; neutral is the absence of all (`models.labels`)."""

Architecture = Literal["emohead", "transformer", "moee", "recurrent"]
"""Which network; see `AudioExpressionConfig.architecture`."""

TAKES_LABELS = ("moee", "recurrent")
"""Architectures that are told the emotion as a label, not by a hyperplane's normal."""

LABEL_FIELDS = ("labels", "expert_width", "latent_tokens", "experts", "plain", "global_gate")
"""Fields that say how; the same in `TrainConfig` and `AudioExpressionConfig`."""


@dataclass(frozen=True)
class InputWidths:
    """Channels of the three inputs, as the store's schema gives them."""

    audio: int
    """Channels of the audio feature a frame (HuBERT-base 768, log-mel with deltas 240)."""
    emotion: int
    """Channels of the emotion feature a frame (emotion2vec-base 768, prosody: see its encoder)."""
    text: int
    """Channels of one token (LLaMA2-7B 4096, MiniLM 384)."""

    def __post_init__(self) -> None:
        """Refuse widths below one."""
        for name, width in asdict(self).items():
            if width < 1:
                raise ModelConfigError(
                    f"input width of {name} is {width}, at least 1 is needed; "
                    "read the widths from the store's schema"
                )


@dataclass(frozen=True)
class AudioExpressionConfig:
    """The network of EmoHead, section III-A and appendix C (tables V, VI for the choices)."""

    widths: InputWidths
    """Channels of the inputs."""
    k: int = 10
    """Expression coefficients."""
    d: int = 512
    """Width that all three inputs are mapped to (eq. 1)."""
    d_h: int = 512
    """Width of queries and keys (eq. 2, 3); the paper ties it to d."""
    n: int = 5
    """Neighbouring frames on the left of frame i in F (eq. 2)."""
    window_terms: int | None = None
    """Terms of the sum in F: n + 1 by the formula (i-n..i), n by the text; None means n + 1."""
    ffn_widths: tuple[int, ...] = (512, 256, 256, 128)
    """Hidden widths of both feed-forward networks; the output (k or 1) is added."""
    context: int = 0
    """Frames each side stacked on the audio input before E1. 0 is the paper's: HuBERT sees 400 ms
    by itself. Log-mel sees 25 ms, so the embedded profile hands the network its neighbourhood."""
    activation: Literal["relu", "gelu"] = "relu"
    """Between the layers of the feed-forward networks (the paper does not say)."""
    focus: float = 64.0
    """Logit a frame starts with at itself (C / √d_h, for inputs of unit variance). Queries and keys
    start equal, so that every frame first listens to frames like itself; with independent ones
    (0) it starts from the mean of the window, and little sound is left to follow the lips by."""
    architecture: Architecture = "emohead"
    """`transformer`: a plain one with as many parameters reads [υ; e; γ] instead of equations 2 to
    8 ("w/o audio expression alignment" of table IV). `moee`: equations 1 to 7, then MoEE's emotion
    experts. `recurrent`: EMOdiffhead's LSTM generator."""
    refinement: bool = True
    """Eq. 9; without it α̂ = α̃ and the tag changes nothing ("w/o hyperplane refinement")."""
    labels: tuple[str, ...] = LABELS
    """Tags that a label has weights for, in order (`moee` and `recurrent`)."""
    expert_width: int = 64
    """Channels of an expert's queries, keys and values (ours: not published)."""
    latent_tokens: int = 4
    """Tokens of the emotion latent (ours)."""
    experts: bool = True
    """Without them `moee` says what its first stage learnt ("no MoEE" of its table)."""
    plain: bool = False
    """One cross-attention as wide as the six experts together stands in their place, without gates:
    the label's way in, and no mixture (an ablation; ours)."""
    global_gate: bool = True
    """Without it all experts count alike ("no global gate")."""
    units: Literal["whitened"] = "whitened"
    """Unit of the coefficients: zero mean and unit variance per identity, with stored statistics,
    so that tau, the margin and the RMSE of two identities can be compared."""

    def __post_init__(self) -> None:
        """Refuse sizes that no network has."""
        for name in ("k", "d", "d_h"):
            if getattr(self, name) < 1:
                raise ModelConfigError(f"{name} is {getattr(self, name)}; give 1 or more")
        for name in ("n", "context"):
            if getattr(self, name) < 0:
                raise ModelConfigError(f"{name} is {getattr(self, name)} frames; give 0 or more")
        if self.focus < 0:
            raise ModelConfigError(f"focus is {self.focus}; give 0 (independent) or more")
        if self.terms not in (self.n, self.n + 1) or self.terms < 1:
            raise ModelConfigError(
                f"window_terms is {self.terms} and n is {self.n}; the paper allows n = {self.n} "
                f"(its text) or n + 1 = {self.n + 1} (its formula)"
            )
        if not self.ffn_widths or min(self.ffn_widths) < 1:
            raise ModelConfigError(
                f"ffn_widths is {self.ffn_widths}; give at least one positive width"
            )

    @property
    def takes_labels(self) -> bool:
        """Whether the emotion is asked for by a label."""
        return self.architecture in TAKES_LABELS

    @property
    def terms(self) -> int:
        """Terms of the sum in F, the frame itself included."""
        return self.n + 1 if self.window_terms is None else self.window_terms

    @property
    def past(self) -> int:
        """Frames before a window that F looks at."""
        return self.terms - 1

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form, for checkpoints."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "AudioExpressionConfig":
        """Undo `to_dict`."""
        values = dict(values)
        values["widths"] = InputWidths(**values["widths"])
        values["ffn_widths"] = tuple(values["ffn_widths"])
        values["labels"] = tuple(values.get("labels", LABELS))
        return cls(**values)


@dataclass(frozen=True)
class TrainConfig:
    """How the network is trained (section III-D; batch and window are open in the paper)."""

    steps: int = 20_000
    """Optimiser steps (paper: 20k)."""
    batch: int = 4
    """Windows a step (the paper does not say). Four of 64 frames are 10 s of speech: 20k steps go
    through ten minutes 340 times."""
    window: int = 64
    """Frames T of a training window; attention runs over it."""
    learning_rate: float = 5e-4
    """Adam's step size (paper: 5e-4)."""
    final_learning_rate: float = 1.0
    """Learning rate at the last step, as a fraction of the first, reached by a half cosine;
    1.0 keeps it constant, as the paper does."""
    weight_decay: float = 0.0
    """Decoupled decay (AdamW), times the learning rate, a step; 0 is the paper's Adam."""
    rho: float = 0.5
    """Weight of the other identity in eq. 13."""
    seed: int = 0
    """Seed of the weights and of the stateless sampler."""
    d: int = 512
    """Width d (eq. 1)."""
    d_h: int = 512
    """Width d_h (eq. 2, 3)."""
    n: int = 5
    """Neighbouring frames in F."""
    window_terms: int | None = None
    """See `AudioExpressionConfig.window_terms`."""
    ffn_widths: tuple[int, ...] = (512, 256, 256, 128)
    """Hidden widths of the feed-forward networks."""
    context: int = 0
    """See `AudioExpressionConfig.context`."""
    activation: Literal["relu", "gelu"] = "relu"
    """See `AudioExpressionConfig.activation`."""
    focus: float = 64.0
    """See `AudioExpressionConfig.focus`."""
    architecture: Architecture = "emohead"
    """See `AudioExpressionConfig.architecture`."""
    labels: tuple[str, ...] = LABELS
    """See `AudioExpressionConfig.labels`; this and the next five are for `moee` and `recurrent`."""
    expert_width: int = 64
    """See `AudioExpressionConfig.expert_width`."""
    latent_tokens: int = 4
    """See `AudioExpressionConfig.latent_tokens`."""
    experts: bool = True
    """See `AudioExpressionConfig.experts`."""
    plain: bool = False
    """See `AudioExpressionConfig.plain`."""
    global_gate: bool = True
    """See `AudioExpressionConfig.global_gate`."""
    stage_1: float = 0.5
    """Share of the steps in which `moee` learns everything but its experts; then these alone."""
    noisy: float = 0.0
    """Share of windows whose label and target are mixed with those of another emotion's clip
    (MoEE's noisy emotion sampling; the share is ours: not published)."""
    masked: bool = True
    """In such a window the mouth's opening stays that of the sound (MoEE's mask of the mouth)."""
    source_dropout: float = 0.0
    """Share of windows from which each of label, voice and words is withheld, so that any subset
    of them can be asked with."""
    emotion_free: bool = True
    """Learn from clips without an emotion tag, too: what the face does with the sound is known of
    all clips (EMOdiffhead's abstract; off: its ablation)."""
    adversarial: float = 0.0
    """Weight of two discriminators (EMOdiffhead; of a frame, and of a sequence); 0: none."""
    refinement: bool = True
    """See `AudioExpressionConfig.refinement`."""
    loss_units: Literal["whitened", "raw"] = "whitened"
    """Units in which eq. 13 measures distances. Whitened: every coefficient counts alike, and two
    people's mean faces coincide. Raw: as the extractor gives them, mean faces and all. What the
    network puts out is whitened in both cases."""
    text_dropout: float = 0.0
    """Share of training windows whose words are withheld (0: the paper). With few sentences the
    words alone tell which sentence it is, and the network learns it by heart."""
    planes: Literal["identity", "pooled"] = "identity"
    """Whose hyperplanes refine: the identity's own (the paper; pooled where its own was refused)
    or the pooled ones for everybody."""
    validate_every: int = 500
    """Steps between two validations on held-out clips and sentences."""
    save_every: int = 500
    """Steps between two checkpoints."""
    log_every: int = 20
    """Steps between two calls of the progress callback."""
    ema: float = 0.0
    """Decay a step of an exponential moving average of the weights, which is then validated and
    kept as best (0.999 for long runs); 0: none."""
    tensorboard: bool = False
    """Write scalars for TensorBoard into the run's folder."""
    device: str = "cpu"
    """torch device."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of matrix products (autocast; weights stay float32). float16 is scaled against underflow and
    needs a GPU. CPUs without bfloat16 units take far longer in bfloat16."""
    compile: bool = False
    """torch.compile the network; needs a C++ compiler on a CPU. On two cores it gains nothing
    (docs/benchmarks.md)."""

    def __post_init__(self) -> None:
        """Refuse counts below one."""
        counts = ("steps", "batch", "window", "validate_every", "save_every", "log_every")
        for name in counts:
            if getattr(self, name) < 1:
                raise ModelConfigError(f"{name} is {getattr(self, name)}; give 1 or more")
        if not 0 <= self.text_dropout < 1:
            raise ModelConfigError(f"text_dropout is {self.text_dropout}; give 0 to below 1")
        if not 0 <= self.ema < 1:
            raise ModelConfigError(f"ema is {self.ema}; give 0 (off) to below 1, e.g. 0.999")
        if self.weight_decay < 0:
            raise ModelConfigError(f"weight_decay is {self.weight_decay}; give 0 (off) or more")
        for name in ("stage_1", "noisy", "source_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ModelConfigError(f"{name} is {getattr(self, name)}; give a share, 0 to 1")
        if self.adversarial < 0:
            raise ModelConfigError(f"adversarial is {self.adversarial}; give 0 (off) or more")
        if self.noisy and self.architecture not in TAKES_LABELS:
            raise ModelConfigError(
                f"noisy is {self.noisy}, but {self.architecture} is told no label that could tell "
                f"mixed targets apart; take 0, or an architecture of {', '.join(TAKES_LABELS)}"
            )
        if self.rho < 0:
            raise ModelConfigError(f"rho is {self.rho}; give 0 (off) or more (paper: 0.5)")
        if self.precision == "float16" and self.device == "cpu":
            raise ModelConfigError(
                "precision is float16 and device is cpu; take float32 (or bfloat16) there"
            )

    def network(self, widths: InputWidths, k: int) -> AudioExpressionConfig:
        """Sizes of the network for inputs of these widths."""
        return AudioExpressionConfig(
            widths=widths,
            k=k,
            d=self.d,
            d_h=self.d_h,
            n=self.n,
            window_terms=self.window_terms,
            ffn_widths=self.ffn_widths,
            context=self.context,
            activation=self.activation,
            focus=self.focus,
            architecture=self.architecture,
            refinement=self.refinement,
            **{name: getattr(self, name) for name in LABEL_FIELDS},
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form, for checkpoints."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainConfig":
        """Undo `to_dict`."""
        values = dict(values)
        values["ffn_widths"] = tuple(values["ffn_widths"])
        values["labels"] = tuple(values.get("labels", LABELS))
        return cls(**values)


DEMO: dict[str, Any] = {
    "steps": 800,
    "batch": 16,
    "window": 32,
    "learning_rate": 1e-3,
    "final_learning_rate": 0.05,
    "weight_decay": 5.0,
    "d": 128,
    "d_h": 128,
    "n": 1,
    "ffn_widths": (128, 64),
    "focus": 1000.0,
    "text_dropout": 0.7,
    "validate_every": 100,
    "save_every": 200,
}
"""`TrainConfig` fields for a minute or two of speech on two cores, a few seconds to a minute of
training. A small network that looks at few frames and forgets: with four sentences the paper's
sizes learn the sentences by heart (docs/decisions, and `python -m benchmarks.audio_expression`)."""

MOEE: dict[str, Any] = {"architecture": "moee", "noisy": 0.5, "source_dropout": 0.2}
"""`TrainConfig` fields of MoEE's light variant, on top of a preset (shares are ours)."""

RECURRENT: dict[str, Any] = {"architecture": "recurrent", "noisy": 0.5, "adversarial": 0.01}
"""`TrainConfig` fields of EMOdiffhead's expression generator (shares and weight are ours)."""
