"""Training one head: read `train_head` from top to bottom."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.scalars import Board
from render import checkpoint
from render.cameras import head_box, visual_hull
from render.checkpoint import CHECKPOINT, Standing
from render.compositing import compose
from render.engine import make_engine
from render.engine_types import Engine, StepPlan
from render.errors import TrainingError
from render.fused import StepReport
from render.head import Head
from render.head_config import HeadConfig
from render.head_data import HeadData
from render.masks import head_mask
from render.occupancy import grown
from render.refine import Refiner
from render.torso_field import train_torso

Progress = Callable[[int, int, dict[str, float]], None]
"""Called with (step, total steps, metrics); with a time budget the total is an estimate."""

_HULL_FRAMES = 40
_HULL_GROWTH = 2
"""Cells the silhouettes' hull grows by: hair that moves must not be cut along cell walls."""
MIN_RAYS = 64
"""Fewer rays a step than this is no training."""


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
        TrainingError: the loss stopped being a number (the last good checkpoint stays in the
        folder), or there is no memory even for few rays.
        BackendError: engine or device cannot run here.
    """
    train = data.training()
    config = replace(
        config,
        field=replace(
            config.field,
            coefficients=train.alpha.shape[1],
            frames=len(train.frames) if config.field.appearance else 0,
        ),
    )

    # Where the head is.
    some = np.linspace(0, len(train.frames) - 1, min(_HULL_FRAMES, len(train.frames))).astype(int)
    masks = head_mask(train.labels[some])
    box = head_box(masks, train.cameras[some], train.focal)
    hull = visual_hull(masks, train.cameras[some], train.focal, box, config.occupancy.resolution)
    hull = grown(hull, _HULL_GROWTH)

    # What is trained.
    engine = make_engine(config, train, box, hull)
    found = checkpoint.resume(folder, config, len(engine.mean_theta()))
    now = Standing(rays=config.rays)
    if found is not None:
        engine.load(found[0])
        now = found[1]
    refiner = Refiner.of(config, train, box)
    notes = [*dict.fromkeys([*now.notes, *data.notes(), *refiner.notes])]
    run = _Run(engine, config, folder, now, notes, Board(folder if config.board else None))

    def head_now() -> Head:
        shape = (train.focal / train.size, 1.0 / config.march_steps)
        return Head(engine.preview(), box, engine.mask(), *shape, {})

    began = time.monotonic() - now.elapsed
    saved = shown = time.monotonic()
    while True:
        elapsed = time.monotonic() - began
        done = elapsed / config.seconds if config.seconds else run.step / config.steps
        if done >= 1.0:
            break
        plan = StepPlan(
            run.step,
            run.rays,
            1.0
            / (
                config.march_steps if run.step >= config.coarse_until else config.coarse_march_steps
            ),
            config.fade(done),
            _ema_decay(config, run.step + 1),
        )
        if not run.gradients(plan):
            continue
        if refiner.due(run.step, done):
            run.refine(refiner, plan)
        engine.descend(plan)
        run.step += 1

        if run.step % config.report_every == 0:
            metrics = run.metrics(time.monotonic() - began)
            if progress is not None:
                total = round(run.step / max(done, 1e-6)) if config.seconds else config.steps
                progress(run.step, max(total, run.step), metrics)
        if config.preview_every and time.monotonic() - shown > config.preview_every:
            run.board.picture(run.step, "held-out frame", preview(head_now(), data, engine))
            shown = time.monotonic()
        if time.monotonic() - saved > config.save_every:
            run.save(time.monotonic() - began)
            saved = time.monotonic()
    run.check()
    run.board.close()

    facts = {
        "provenance": provenance or {},
        "config": asdict(config),
        "training_frames": len(train.frames),
        "steps": run.step,
        "seconds": time.monotonic() - began,
        "notes": run.notes,
        "curve": run.curve,
    }
    if config.torso is not None:
        train_torso(train, box, config.torso, config.seed).save(folder)
    mask = engine.mask()
    head = Head(
        engine.finish(), box, mask, train.focal / train.size, 1.0 / config.march_steps, facts
    )
    head.save(folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return head


def preview(head: Head, data: HeadData, engine: Engine) -> np.ndarray:
    """A held-out frame beside what the running mean renders of it (a training frame if none is)."""
    some = data.held_out()
    if len(some.frames) == 0:
        some = data.training()
    i = len(some.frames) // 2
    rgb, opacity = head.render(some.cameras[i], some.alpha[i], data.size, engine.mean_theta())
    return np.concatenate([some.frames[i], compose(rgb, opacity, some.frames[i])], 1)


class _Run:
    """What accumulates over a run: sums, curve, notes."""

    def __init__(
        self,
        engine: Engine,
        config: HeadConfig,
        folder: Path,
        now: Standing,
        notes: list[str],
        board: Board,
    ) -> None:
        self.engine, self.config, self.folder, self.board = engine, config, folder, board
        self.step, self.rays, self.notes = now.step, now.rays, notes
        self.curve: list[dict[str, Any]] = list(now.curve)
        self._sums = StepReport(0.0, 0.0, 0, 0)
        self._steps = self._rays = 0
        self._refine: dict[str, list[float]] = {}

    def gradients(self, plan: StepPlan) -> bool:
        """Add the step's gradients; False where memory ran out: then with half the rays again."""
        try:
            self.engine.gradients(plan)
        except MemoryError as error:
            half = plan.rays // 2
            if half < MIN_RAYS:
                raise TrainingError(
                    f"head: no memory for {plan.rays} rays a step ({error}), and fewer than "
                    f"{MIN_RAYS} are no training; lower max_samples (now "
                    f"{self.config.max_samples}) or use a smaller field; the last state is in "
                    f"{self.folder / CHECKPOINT} if one was saved"
                ) from error
            self.rays = half
            self.notes.append(
                f"memory ran out at step {plan.number}: {half} rays a step instead of {plan.rays}"
            )
            return False
        self._steps += 1
        self._rays += plan.rays
        if not self.engine.waits:
            self.check()
        return True

    def refine(self, refiner: Refiner, plan: StepPlan) -> None:
        """Add the gradients of a whole head's losses.

        Raises:
            TrainingError: there is no memory for one.
        """
        try:
            losses = refiner.pull(self.engine, plan.number, plan.march_step)
        except MemoryError as error:
            raise TrainingError(
                f"head: no memory for a whole head ({error}); lower refine.size, or train with "
                "refine=null"
            ) from error
        for name, value in losses.items():
            self._refine.setdefault(name, []).append(value)

    def check(self) -> None:
        """Fetch the engine's sums.

        Raises:
            TrainingError: the loss is no number.
        """
        new = self.engine.sums()
        if not np.isfinite(new.loss):
            raise TrainingError(
                f"head: the loss is {new.loss} at step {self.step}; the last good state is in "
                f"{self.folder / CHECKPOINT}; lower grid_rate (now {self.config.grid_rate}) and go "
                "on"
            )
        self._sums = self._sums.plus(new)

    def metrics(self, seconds: float) -> dict[str, float]:
        """Means since the last report, onto the curve and the board."""
        self.check()
        s, rays = self._sums, max(self._rays, 1)
        metrics = {
            "loss": s.loss / max(self._steps, 1),
            "psnr": float(-10 * np.log10(max(s.squared_error / rays, 1e-12))),
            "samples_per_ray": s.samples / rays,
            "occupied": float(self.engine.mask().mean()),
            "seconds": seconds,
            **({"dropped_samples": s.dropped / rays} if s.dropped else {}),
            **{name: float(np.mean(values)) for name, values in self._refine.items()},
        }
        self._sums, self._steps, self._rays = StepReport(0.0, 0.0, 0, 0), 0, 0
        self._refine = {}
        self.curve.append({"step": self.step, **metrics})
        self.board.write(self.step, metrics)
        return metrics

    def save(self, elapsed: float) -> None:
        """A checkpoint, of a state whose loss was a number."""
        self.check()
        now = Standing(self.step, elapsed, self.rays, tuple(self.curve), tuple(self.notes))
        checkpoint.save(self.folder, self.config, self.engine.state(), now)


def _ema_decay(config: HeadConfig, step: int) -> float:
    """1 (no update) between updates; a young mean forgets faster."""
    if step % config.ema_every:
        return 1.0
    taken = step // config.ema_every
    return min(config.ema_decay, taken / (10 + taken))
