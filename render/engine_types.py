"""What a trainer asks of whoever computes: gradients of a batch, of a whole head, an Adam step.

The states of all engines are the same arrays, so a run goes on with either.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from render.fused import StepReport
from render.head import RayRenderer


@dataclass(frozen=True)
class StepPlan:
    """One step, as the schedule has it."""

    number: int
    """Steps done before it."""
    rays: int
    march_step: float
    """Box sides between samples."""
    fade: float
    """What is left of the learning rates."""
    ema_decay: float
    """Of the running mean; 1 leaves it alone."""


@dataclass(frozen=True)
class PictureRays:
    """Rays of a whole head, without jitter."""

    origins: Float[np.ndarray, "rays 3"]
    directions: Float[np.ndarray, "rays 3"]
    harmonics: Float[np.ndarray, "rays sh"]
    alpha: Float[np.ndarray, "rays k"]
    background: Float[np.ndarray, "rays 3"]


@runtime_checkable
class PictureEngine(Protocol):
    """What losses on whole heads need."""

    def picture(self, rays: PictureRays, march_step: float) -> Float[np.ndarray, "rays 3"]:
        """Colour of the rays over their background."""
        ...

    def pull(
        self, rays: PictureRays, gradient: Float[np.ndarray, "rays 3"], march_step: float
    ) -> None:
        """Add the gradients of sum(gradient · picture): the picture is computed once more."""
        ...


@runtime_checkable
class Engine(PictureEngine, Protocol):
    """One head being trained."""

    waits: bool
    """Whether asking for sums waits for the device (then it is asked rarely)."""

    def gradients(self, plan: StepPlan) -> None:
        """Draw the step's rays and add the gradients of their loss.

        Raises:
            MemoryError: there is no room for so many rays; nothing was added.
        """
        ...

    def descend(self, plan: StepPlan) -> None:
        """One Adam step with what was added; keep the running mean and the occupancy."""
        ...

    def sums(self) -> StepReport:
        """Sums over the steps since this was last asked."""
        ...

    def mask(self) -> Bool[np.ndarray, "z y x"]:
        """The cells marching visits now."""
        ...

    def preview(self) -> RayRenderer:
        """What renders the head as it is now."""
        ...

    def mean_theta(self) -> Float[np.ndarray, " n"]:
        """The running mean of the parameters."""
        ...

    def finish(self) -> RayRenderer:
        """Let the running mean be the parameters; what renders the head."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """Arrays a checkpoint holds: theta, first, second, ema, occupancy, occupied, seen."""
        ...

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from a state of either engine."""
        ...
