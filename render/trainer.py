"""Training one head: read `train_head` from top to bottom."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from dataclasses import field as made
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from render.cameras import head_box, visual_hull
from render.errors import TrainingError
from render.field import Field, FieldConfig
from render.fused import FusedField, optimise
from render.head import Head
from render.head_data import HeadData
from render.masks import head_mask
from render.occupancy import Occupancy, OccupancyConfig
from render.ray_sampling import RaySampler, SamplingConfig

Progress = Callable[[int, int, dict[str, float]], None]
"""Called with (step, total steps, metrics); with a time budget the total is an estimate."""

_HULL_FRAMES = 40
_CHECKPOINT = "training.safetensors"


@dataclass(frozen=True)
class HeadConfig:
    """Everything that determines a head besides its data."""

    field: FieldConfig = made(default_factory=FieldConfig)
    """Shape of the field; its `coefficients` are taken from the data."""
    sampling: SamplingConfig = made(default_factory=SamplingConfig)
    """Where rays are drawn."""
    occupancy: OccupancyConfig = made(default_factory=OccupancyConfig)
    """Empty-space skipping."""
    steps: int = 6000
    """Optimiser steps."""
    seconds: float | None = None
    """Time budget; if set, it ends training instead of `steps`, and drives the learning rate."""
    rays: int = 512
    """Rays a step."""
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
    final_rate: float = 0.03
    """What is left of the rates at the end (they fall exponentially)."""
    net_decay: float = 1e-5
    """Decoupled weight decay of the matrices."""
    expression_decay: float = 0.1
    """Decoupled weight decay of the expression grid: what the frames do not ask for stays still."""
    ema_decay: float = 0.9
    """Running mean of the parameters, each time it is taken; the head keeps the mean."""
    ema_every: int = 10
    """Steps between its updates (it costs a pass over all parameters)."""
    seed: int = 0
    """Of initial values, rays and occupancy samples."""
    threads: int | None = None
    """Threads; None takes all cores of the process."""
    report_every: int = 50
    """Steps between calls of `progress`."""
    save_every: float = 60.0
    """Seconds between checkpoints."""


def train_head(
    data: HeadData,
    config: HeadConfig,
    folder: Path,
    progress: Progress | None = None,
    provenance: dict[str, Any] | None = None,
) -> Head:
    """Train on the training part of the data; the finished head is saved in `folder`.

    A run that was killed goes on from its last checkpoint when called again with the same config.

    Raises:
        HeadDataError: too few usable frames.
        TrainingError: the loss stopped being a number; the last good checkpoint stays in the
        folder.
    """
    train = data.training()
    config = replace(config, field=replace(config.field, coefficients=train.alpha.shape[1]))

    # Where the head is.
    some = np.linspace(0, len(train.frames) - 1, min(_HULL_FRAMES, len(train.frames))).astype(int)
    masks = head_mask(train.labels[some])
    box = head_box(masks, train.cameras[some], train.focal)
    hull = visual_hull(masks, train.cameras[some], train.focal, box, config.occupancy.resolution)

    # What is trained.
    fused = FusedField(Field(config.field, config.seed), config.threads)
    occupancy = Occupancy(config.occupancy, hull, fused.threads)
    sampler = RaySampler(train, box, config.sampling, config.field.sh_degree, config.seed)
    state = _State.start(fused, occupancy)
    state.resume(folder, config)
    decays = {"matrices": config.net_decay, "expression": config.expression_decay}

    fused.compile()
    began = time.monotonic() - state.elapsed
    saved = time.monotonic()
    sums = np.zeros(3)
    curve: list[dict[str, float]] = []
    while True:
        elapsed = time.monotonic() - began
        done = elapsed / config.seconds if config.seconds else state.step / config.steps
        if done >= 1.0:
            break
        fade = config.final_rate**done
        rates = {
            "grid": config.grid_rate * fade,
            "expression": config.expression_rate * fade,
            "matrices": config.net_rate * fade,
        }
        batch = sampler.draw(state.step, config.rays)
        march_step = 1.0 / (
            config.march_steps if state.step >= config.coarse_until else config.coarse_march_steps
        )
        report = fused.train(
            batch,
            occupancy.mask,
            march_step,
            config.max_samples,
            config.opacity_weight,
            config.distortion_weight,
            occupancy.seen,
        )
        if not np.isfinite(report.loss):
            raise TrainingError(
                f"head: the loss is {report.loss} at step {state.step}; the last good state is in "
                f"{folder / _CHECKPOINT}; lower grid_rate (now {config.grid_rate}) and go on"
            )
        optimise(
            fused,
            state.first,
            state.second,
            state.ema,
            rates,
            state.step + 1,
            decays=decays,
            ema_decay=_ema_decay(config, state.step + 1),
        )
        state.step += 1
        if state.step % config.occupancy.every == 0:
            occupancy.update(state.step)

        sums += report.loss, report.squared_error / config.rays, report.samples / config.rays
        if state.step % config.report_every == 0:
            loss, error, samples = sums / config.report_every
            sums[:] = 0
            metrics = {
                "loss": float(loss),
                "psnr": float(-10 * np.log10(max(error, 1e-12))),
                "samples_per_ray": float(samples),
                "occupied": occupancy.share,
                "seconds": time.monotonic() - began,
            }
            curve.append({"step": state.step, **metrics})
            if progress is not None:
                total = round(state.step / max(done, 1e-6)) if config.seconds else config.steps
                progress(state.step, max(total, state.step), metrics)
        if time.monotonic() - saved > config.save_every:
            state.save(folder, config, time.monotonic() - began)
            saved = time.monotonic()

    fused.theta[:] = state.ema
    facts = {
        "provenance": provenance or {},
        "config": asdict(config),
        "training_frames": len(train.frames),
        "steps": state.step,
        "seconds": time.monotonic() - began,
        "curve": curve,
    }
    head = Head(
        fused, box, occupancy.mask, train.focal / train.size, 1.0 / config.march_steps, facts
    )
    head.save(folder)
    (folder / _CHECKPOINT).unlink(missing_ok=True)
    return head


@dataclass
class _State:
    """What a checkpoint holds."""

    fused: FusedField
    occupancy: Occupancy
    first: np.ndarray
    second: np.ndarray
    ema: np.ndarray
    step: int = 0
    elapsed: float = 0.0

    @staticmethod
    def start(fused: FusedField, occupancy: Occupancy) -> "_State":
        theta = fused.theta
        return _State(fused, occupancy, np.zeros_like(theta), np.zeros_like(theta), theta.copy())

    def save(self, folder: Path, config: HeadConfig, elapsed: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / (_CHECKPOINT + ".draft")
        save_file(
            {
                "theta": self.fused.theta,
                "first": self.first,
                "second": self.second,
                "ema": self.ema,
                "occupancy": self.occupancy.values,
                "occupied": self.occupancy.mask.astype(np.uint8),
                "step": np.array([self.step], np.int64),
                "elapsed": np.array([elapsed], np.float64),
            },
            draft,
            metadata={"config": _config_text(config)},
        )
        draft.replace(folder / _CHECKPOINT)

    def resume(self, folder: Path, config: HeadConfig) -> None:
        path = folder / _CHECKPOINT
        if not path.is_file():
            return
        from safetensors import safe_open

        with safe_open(path, "np") as opened:
            text = (opened.metadata() or {}).get("config")
        if text != _config_text(config):
            raise TrainingError(
                f"head: {path} was written with another config; delete it to start anew, or train "
                "with the same config to go on"
            )
        arrays = load_file(path)
        if arrays["theta"].shape != self.fused.theta.shape:
            raise TrainingError(
                f"head: {path} holds {arrays['theta'].size} parameters, the field has "
                f"{self.fused.theta.size}; delete the file to start anew"
            )
        self.fused.theta[:] = arrays["theta"]
        self.first, self.second, self.ema = arrays["first"], arrays["second"], arrays["ema"]
        self.occupancy.values = arrays["occupancy"]
        self.occupancy.mask = arrays["occupied"].astype(bool)
        self.step, self.elapsed = int(arrays["step"][0]), float(arrays["elapsed"][0])


def _ema_decay(config: HeadConfig, step: int) -> float:
    """1 (no update) between updates; a young mean forgets faster."""
    if step % config.ema_every:
        return 1.0
    taken = step // config.ema_every
    return min(config.ema_decay, taken / (10 + taken))


def _config_text(config: HeadConfig) -> str:
    return json.dumps(asdict(config), sort_keys=True)
