"""The chain from frames to noise, and the schedulers that go back: diffusers' own."""

import warnings
from typing import Any, Literal

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from jaxtyping import Float, Int
from torch import Tensor

from render.diffusion.config import NoiseConfig
from render.errors import ConfigError

Solver = Literal["ddim", "dpm++"]


class Chain:
    """Noising, what the network should say, and how much that counts."""

    def __init__(self, config: NoiseConfig) -> None:
        """Fix the betas."""
        self.config = config
        self._betas = _shifted(config)
        self._scheduler = DDIMScheduler(
            num_train_timesteps=config.steps,
            beta_schedule=config.schedule,
            trained_betas=self._betas,
            prediction_type=config.prediction,
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            clip_sample=False,
        )

    def noised(
        self,
        clean: Float[Tensor, "batch ..."],
        noise: Float[Tensor, "batch ..."],
        step: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch ..."]:
        """sqrt(ᾱ) clean + sqrt(1 - ᾱ) noise."""
        return self._scheduler.add_noise(clean, noise, step)  # type: ignore[arg-type]

    def target(
        self,
        clean: Float[Tensor, "batch ..."],
        noise: Float[Tensor, "batch ..."],
        step: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch ..."]:
        """The clean frames, or v = sqrt(ᾱ) noise - sqrt(1 - ᾱ) clean."""
        if self.config.prediction == "sample":
            return clean
        return self._scheduler.get_velocity(clean, noise, step)  # type: ignore[arg-type]

    def weight(self, step: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Of the squared error of `target`: that of the clean frame counts SNR, within limits.

        An error of v is sqrt(1 + SNR) times the one of the clean frame.
        """
        kept = self._scheduler.alphas_cumprod.to(step.device)[step]
        snr = kept / (1 - kept)
        weight = snr.clamp(self.config.snr_floor, self.config.snr_gamma)
        return weight if self.config.prediction == "sample" else weight / (snr + 1)

    def solver(self, name: str, steps: int, clip: bool) -> Any:
        """A scheduler with `timesteps` of `steps` steps back.

        Args:
            name: `ddim` (first order) or `dpm++` (DPM-Solver++, second order).
            steps: of the way back, 1 to those of the chain.
            clip: hold guessed clean frames within [-1, 1] (pixels); DDIM only.

        Raises:
            ConfigError: another name, or too few or many steps.
        """
        if not 1 <= steps <= self.config.steps:
            raise ConfigError(
                f"portrait: {steps} sampling steps; the chain has {self.config.steps}, take 1 to "
                "that many"
            )
        scheduler: Any
        if name == "ddim":
            scheduler = DDIMScheduler.from_config(
                self._scheduler.config, clip_sample=clip, clip_sample_range=1.0
            )
        elif name == "dpm++":
            scheduler = DPMSolverMultistepScheduler(
                num_train_timesteps=self.config.steps,
                beta_schedule=self.config.schedule,
                trained_betas=self._betas,
                prediction_type=self.config.prediction,
                rescale_betas_zero_snr=True,
                timestep_spacing="trailing",
                final_sigmas_type="zero",
            )
        else:
            raise ConfigError(f"portrait: solver {name!r} is unknown; take ddim or dpm++")
        with warnings.catch_warnings():
            # diffusers 0.42 hands numpy 2 a tensor in a way that is to change.
            warnings.simplefilter("ignore", DeprecationWarning)
            scheduler.set_timesteps(steps)
        return scheduler


def _shifted(config: NoiseConfig) -> list[float] | None:
    """Betas with SNR / shift² (arXiv 2301.11093, eq. 4); None: the schedule's own."""
    if config.shift == 1:
        return None
    plain = DDIMScheduler(num_train_timesteps=config.steps, beta_schedule=config.schedule)
    kept = plain.alphas_cumprod.double()
    snr = kept / (1 - kept) / config.shift**2
    kept = snr / (1 + snr)
    return (1 - kept / torch.cat([kept.new_ones(1), kept[:-1]])).tolist()


def draw_noise(shape: tuple[int, ...], seed: int) -> Float[Tensor, "..."]:
    """Normal noise, the same on every device."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
