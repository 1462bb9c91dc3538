"""Everything that determines a head besides its data, with the schedule of its training."""

from dataclasses import asdict, dataclass
from dataclasses import field as made
from typing import Any, Literal

from render.errors import ConfigError
from render.field import FieldConfig
from render.hash_grid_config import HashGridConfig
from render.occupancy import OccupancyConfig
from render.ray_sampling import SamplingConfig
from render.torso_field import TorsoConfig

EngineName = Literal["auto", "numba", "torch"]
Precision = Literal["float32", "bfloat16"]
Schedule = Literal["exponential", "linear"]

HOW = frozenset(
    {
        *("engine", "device", "precision", "compile", "graphs", "threads"),
        *("report_every", "save_every", "preview_every", "board"),
    }
)
"""Settings that say how training runs, not what comes out: a run may go on with others."""


@dataclass(frozen=True)
class RefineConfig:
    """The second stage (section III.D, equations 15 and 16): losses on whole rendered heads."""

    cord: float = 1e-3
    """λ_cord: weight of minus the cosine between CLIP's view of the picture and the emotion's
    name; 0 leaves it out."""
    shape: float = 1e-9
    """λ_shape: weight of the distance of 3DDFA shape parameters, in the face model's units (they
    spread over 1e5, hence the small weight); 0 leaves it out."""
    start: float = 0.5
    """Share of training after which the stage begins."""
    every: int = 16
    """Steps from one whole head to the next. Its gradient counts `every` times, so that its mean
    over steps is the paper's, who renders one each step."""
    size: int = 112
    """Side of the whole head's picture, pixels."""
    prompt: str = "{emotion}"
    """What CLIP's text encoder reads; the paper gives it the tag itself."""
    clip: str = "clip_rn50"
    """Name of the CLIP weights on the shelf."""
    regressor: str = "3ddfa_mb05"
    """Name of the 3DDFA weights on the shelf."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        if self.every < 1 or not 32 <= self.size <= 512 or not 0 <= self.start <= 1:
            raise ConfigError(
                f"refine: every = {self.every} (at least 1), size = {self.size} (32 to 512), start "
                f"= {self.start} (0 to 1)"
            )
        if "{emotion}" not in self.prompt:
            raise ConfigError(f"refine: prompt = {self.prompt!r} must contain {{emotion}}")


@dataclass(frozen=True)
class HeadConfig:
    """Everything that determines a head besides its data."""

    field: FieldConfig = made(default_factory=FieldConfig)
    """Shape of the field; its `coefficients` and `frames` are taken from the data."""
    sampling: SamplingConfig = made(default_factory=SamplingConfig)
    """Where rays are drawn."""
    occupancy: OccupancyConfig = made(default_factory=OccupancyConfig)
    """Empty-space skipping."""
    refine: RefineConfig | None = None
    """The second stage; None: photometric to the end."""
    torso: TorsoConfig | None = None
    """A torso that answers to any pose, learned after the head; None: that of recorded frames."""
    steps: int = 6000
    """Optimiser steps."""
    seconds: float | None = None
    """Time budget; if set, it ends training instead of `steps`, and drives the learning rate."""
    rays: int = 512
    """Rays a step; halved where memory runs out."""
    march_steps: int = 48
    """Samples along one side of the box."""
    coarse_march_steps: int = 32
    """The same while the field is still fog."""
    coarse_until: int = 200
    """Steps with coarse marching."""
    max_samples: int = 64
    """Samples of a ray at most."""
    opacity_weight: float = 0.2
    """Weight of (A - matte)^2 beside the mean squared colour error."""
    distortion_weight: float = 0.02
    """Weight of the rays' distortion: surfaces instead of fog, fewer samples a ray."""
    grid_rate: float = 1e-2
    """Learning rate of the hash table."""
    expression_rate: float = 5e-3
    """Learning rate of the expression grid."""
    net_rate: float = 5e-3
    """Learning rate of the matrices."""
    code_rate: float = 5e-3
    """Learning rate of the frames' appearance codes."""
    schedule: Schedule = "exponential"
    """How the rates fall; the paper's is linear."""
    final_rate: float = 0.03
    """What is left of the rates at the end."""
    net_decay: float = 1e-5
    """Decoupled weight decay of the matrices."""
    expression_decay: float = 0.1
    """Decoupled weight decay of the expression grid: what the frames do not ask for stays still."""
    code_decay: float = 0.1
    """Decoupled weight decay of the codes: a frame's peculiarity is to be small."""
    ema_decay: float = 0.9
    """Running mean of the parameters, each time it is taken; the head keeps the mean."""
    ema_every: int = 10
    """Steps between its updates (it costs a pass over all parameters)."""
    seed: int = 0
    """Of initial values, rays and occupancy samples."""
    engine: EngineName = "auto"
    """`numba`: compiled for the CPU; `torch`: any device; auto: torch on CUDA, else numba."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`; auto: CUDA where there is one."""
    precision: Precision = "float32"
    """Of the matrices' products, torch engine only; parameters and losses stay float32."""
    compile: bool = False
    """Whether the torch engine lets torch.compile fuse the field (a minute at the start)."""
    graphs: bool = False
    """Whether the torch engine replays CUDA graphs: no launch costs, but room for
    `graph_samples` a ray is computed whether used or not."""
    graph_samples: int = 16
    """Samples a ray for which a captured step has room, in the mean; more are dropped and told."""
    threads: int | None = None
    """Threads of the numba engine; None takes all cores of the process."""
    report_every: int = 50
    """Steps between calls of `progress`."""
    save_every: float = 60.0
    """Seconds between checkpoints."""
    preview_every: float = 0.0
    """Seconds between rendered previews of a held-out frame on the board; 0: none."""
    board: bool = False
    """Whether curves and previews go to TensorBoard (`tensorboard/` in the head's folder)."""

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> "HeadConfig":
        """From settings as JSON has them: configs inside are dictionaries.

        Raises:
            TypeError: a name that is none.
            ConfigError: a value out of its range.
        """
        made_of = {
            "field": FieldConfig,
            "sampling": SamplingConfig,
            "occupancy": OccupancyConfig,
            "refine": RefineConfig,
            "torso": TorsoConfig,
        }
        made_now: dict[str, Any] = {}
        for name, value in settings.items():
            if name in made_of and isinstance(value, dict):
                inside = dict(value)
                if isinstance(inside.get("grid"), dict):
                    inside["grid"] = HashGridConfig(**inside["grid"])
                value = made_of[name](**inside)
            made_now[name] = value
        return cls(**made_now)

    def __post_init__(self) -> None:
        """Refuse what cannot run.

        Raises:
            ConfigError: a number out of its range.
        """
        if self.steps < 1 or self.rays < 1 or self.march_steps < 2 or self.coarse_march_steps < 2:
            raise ConfigError(
                f"head: steps = {self.steps}, rays = {self.rays} (at least 1), march_steps = "
                f"{self.march_steps}, coarse_march_steps = {self.coarse_march_steps} (at least 2)"
            )
        if self.seconds is not None and self.seconds <= 0:
            raise ConfigError(f"head: seconds = {self.seconds}, must be positive")

    def fade(self, done: float) -> float:
        """What is left of the learning rates after a share of training."""
        if self.schedule == "linear":
            return 1 - (1 - self.final_rate) * done
        return self.final_rate**done

    def what(self) -> dict[str, Any]:
        """The settings that determine the head, JSON-able."""
        return {name: value for name, value in asdict(self).items() if name not in HOW}
