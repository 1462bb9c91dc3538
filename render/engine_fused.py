"""The engine compiled for the CPU (numba kernels on plain threads)."""

import numpy as np
from jaxtyping import Bool, Float

from render.cameras import Box
from render.engine_types import PictureRays, StepPlan
from render.field import Field
from render.fused import TILE, FusedField, RayBatch, StepReport, optimise
from render.head_config import HeadConfig
from render.head_data import HeadData
from render.occupancy import Occupancy
from render.ray_sampling import RaySampler


class FusedEngine:
    """See `render.engine.Engine`."""

    waits = False

    def __init__(
        self, config: HeadConfig, data: HeadData, box: Box, hull: Bool[np.ndarray, "z y x"]
    ) -> None:
        """Fresh parameters; kernels are compiled here, before any clock runs."""
        self.config = config
        self.fused = FusedField(Field(config.field, config.seed), config.threads)
        self.occupancy = Occupancy(config.occupancy, hull, self.fused.threads)
        self.sampler = RaySampler(data, box, config.sampling, config.field.sh_degree, config.seed)
        self.first = np.zeros_like(self.fused.theta)
        self.second = np.zeros_like(self.fused.theta)
        self.ema = self.fused.theta.copy()
        self._sums = StepReport(0.0, 0.0, 0, 0)
        self.fused.compile()

    def gradients(self, plan: StepPlan) -> None:
        """Draw the step's rays and add the gradients of their loss."""
        config = self.config
        report = self.fused.train(
            self.sampler.draw(plan.number, plan.rays),
            self.occupancy.mask,
            plan.march_step,
            config.max_samples,
            config.opacity_weight,
            config.distortion_weight,
            self.occupancy.seen,
        )
        self._sums = self._sums.plus(report)

    def picture(self, rays: PictureRays, march_step: float) -> Float[np.ndarray, "rays 3"]:
        """Colour of the rays over their background."""
        out, _ = self.fused.render(
            rays.origins,
            rays.directions,
            rays.harmonics,
            rays.alpha,
            self.occupancy.mask,
            march_step,
        )
        return out[:, :3] + (1 - out[:, 3:]) * rays.background

    def pull(
        self, rays: PictureRays, gradient: Float[np.ndarray, "rays 3"], march_step: float
    ) -> None:
        """Add the gradients of sum(gradient · picture): the picture is computed once more.

        The kernel knows only its squared error against a target. Its gradient by a ray's colour C
        is 2/3 w (C - C*); with C* = C - 3/2 g / w that is g. The smaller w, the less it matters
        that the two passes stop their rays differently.
        """
        largest = float(np.abs(gradient).max(initial=0.0))
        if largest == 0.0:
            return
        w = np.float32(1e-3 * largest)
        n = len(rays.origins)
        shown = self.picture(rays, march_step)
        batch = RayBatch(
            rays.origins,
            rays.directions,
            rays.harmonics,
            rays.alpha,
            np.ascontiguousarray(shown - np.float32(1.5) * gradient / w, np.float32),
            np.ones(n, np.float32),
            rays.background,
            np.full(n, w, np.float32),
            np.full(n, 0.5, np.float32),
        )
        self.fused.train(
            batch, self.occupancy.mask, march_step, TILE, 0.0, 0.0, mean_appearance=True
        )

    def descend(self, plan: StepPlan) -> None:
        """One Adam step with what was added; keep the running mean and the occupancy."""
        config = self.config
        rates = {
            "grid": config.grid_rate * plan.fade,
            "expression": config.expression_rate * plan.fade,
            "matrices": config.net_rate * plan.fade,
            "codes": config.code_rate * plan.fade,
        }
        optimise(
            self.fused,
            self.first,
            self.second,
            self.ema,
            rates,
            plan.number + 1,
            decays={
                "matrices": config.net_decay,
                "expression": config.expression_decay,
                "codes": config.code_decay,
            },
            ema_decay=plan.ema_decay,
        )
        if (plan.number + 1) % config.occupancy.every == 0:
            self.occupancy.update(plan.number + 1)

    def sums(self) -> StepReport:
        """Sums over the steps since this was last asked."""
        sums, self._sums = self._sums, StepReport(0.0, 0.0, 0, 0)
        return sums

    def mask(self) -> Bool[np.ndarray, "z y x"]:
        """The cells marching visits now."""
        return self.occupancy.mask

    def preview(self) -> FusedField:
        """What renders the head as it is now."""
        return self.fused

    def mean_theta(self) -> Float[np.ndarray, " n"]:
        """The running mean of the parameters."""
        return self.ema

    def finish(self) -> FusedField:
        """Let the running mean be the parameters; what renders the head."""
        self.fused.theta[:] = self.ema
        return self.fused

    def state(self) -> dict[str, np.ndarray]:
        """Arrays a checkpoint holds."""
        return {
            "theta": self.fused.theta,
            "first": self.first,
            "second": self.second,
            "ema": self.ema,
            "occupancy": self.occupancy.values,
            "occupied": self.occupancy.mask.astype(np.uint8),
            "seen": self.occupancy.seen.max(0),
        }

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from a state of either engine."""
        self.fused.theta[:] = arrays["theta"]
        for name in ("first", "second", "ema"):
            getattr(self, name)[:] = arrays[name]
        self.occupancy.values = arrays["occupancy"].copy()
        self.occupancy.mask = arrays["occupied"].astype(bool)
        self.occupancy.seen[:] = 0
        self.occupancy.seen[0] = arrays["seen"]
