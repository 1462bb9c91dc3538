"""Training of the audio-expression network: one plain loop that can be killed at any moment."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.checkpoint import (
    BEST,
    LAST,
    AudioExpressionModel,
    Checkpoint,
    data_digest,
    load,
    save,
)
from models.config import TrainConfig
from models.data import HELD_OUT, TrainingData, lone_tags, normal_of
from models.errors import CheckpointError
from models.loss import regression_loss
from models.validate import score, validate
from models.windows import Draw, Inputs, WindowSampler, finite_frames, gather

Progress = Callable[[int, int, dict[str, float]], None]
"""Called with (step, steps, metrics)."""

FREE = ("validate_every", "save_every", "log_every", "tensorboard")
"""Settings that may change between two runs of one training; the number of steps may too, while
the learning rate is constant."""


def train_audio_expression(
    data: TrainingData, config: TrainConfig, folder: Path, progress: Progress | None = None
) -> Checkpoint:
    """Train, or go on where an earlier run of the same configuration stopped.

    Windows are a function of (seed, step), weights and Adam's moments are saved together: on a CPU
    with the same number of threads a resumed run ends with the same bits as one that never stopped.

    Args:
        data: clips with splits and hyperplanes.
        config: see `TrainConfig`.
        folder: gets `last.safetensors`, `best.safetensors` and their JSON.
        progress: called every `log_every` steps and at the end.

    Returns:
        The checkpoint with the lowest RMSE on held-out sentences (else held-out clips, else
        identities; without any of them the last).

    Raises:
        CheckpointError: the folder holds a run of other data or settings.
    """
    device = torch.device(config.device)
    sampler = WindowSampler(data.part("train"), config.window, config.batch, config.seed)
    targets = _Targets(data, sampler, config)
    model = _fresh_model(data, config)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    state: dict[str, Any] = {
        "step": 0,
        "data": data_digest(data),
        "provenance": dict(data.provenance),
        "notes": _notes(data, sampler),
        "history": [],
        "validation": [],
        "best": None,
    }
    if (folder / LAST).is_file():
        _resume(load(folder, "last"), config, state, model, optimiser)
    model.to(device)
    board = _Board(folder if config.tensorboard else None)
    losses: list[float] = []
    began, first = time.monotonic(), state["step"]
    for step in range(first, config.steps):
        draw = sampler.draw(step)
        inputs = targets.inputs(model, draw)
        own, own_known, other, other_known, normal = targets.of(draw, device)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(config, step)
        said = model.network(inputs.audio, inputs.emotion, inputs.text, normal, inputs.past)
        loss = regression_loss(said.alpha_hat, own, own_known, other, other_known, config.rho)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())

        done = step + 1
        state["step"] = done
        if done % config.log_every == 0 or done == config.steps:
            metrics = {"loss": float(np.mean(losses))}
            state["history"].append([done, metrics["loss"]])
            losses.clear()
            if state["best"]:
                metrics |= {f"rmse_{state['best']['split']}": state["best"]["rmse"]}
            metrics["steps_per_second"] = (done - first) / max(time.monotonic() - began, 1e-9)
            board.write(done, metrics)
            if progress:
                progress(done, config.steps, metrics)
        if done % config.validate_every == 0 or done == config.steps:
            _validate(model, data, config, folder, state, board)
        if done % config.save_every == 0 or done == config.steps:
            moments = adam_state(model, optimiser)
            save(folder / LAST, model, config, data.planes, state, moments)
    board.close()
    return load(folder, "best")


def learning_rate(config: TrainConfig, step: int) -> float:
    """Constant, or a half cosine from the first to the last value."""
    end = config.final_learning_rate
    wave = 0.5 * (1 + math.cos(math.pi * step / config.steps))
    return config.learning_rate * (end + (1 - end) * wave)


class _Targets:
    """Whitened coefficients, normals and inputs of drawn windows."""

    def __init__(self, data: TrainingData, sampler: WindowSampler, config: TrainConfig) -> None:
        self._data, self._sampler = data, sampler
        self._text_dropout = config.text_dropout
        self._white = [data.whitened(clip).astype(np.float32) for clip in sampler.clips]
        self._normals = np.stack(
            [
                normal_of(data.planes, clip.identity, clip.emotion, config.planes)
                for clip in sampler.clips
            ]
        )
        self._first = np.array([clip.first for clip in sampler.clips])
        self._end = self._first + np.array([clip.frames for clip in sampler.clips])

    def inputs(self, model: AudioExpressionModel, draw: Draw) -> Inputs:
        first, end = self._first[draw.clip], self._end[draw.clip]
        inputs = gather(
            self._data.features, first + draw.start, first, end, self._sampler.window,
            model.config, model.standard,
        )  # fmt: skip
        heard = torch.from_numpy(draw.lots >= self._text_dropout).to(inputs.text.device)
        return replace(inputs, text=inputs.text * heard[:, None, None])

    def of(self, draw: Draw, device: torch.device) -> tuple[Tensor, ...]:
        window = self._sampler.window
        own = np.stack(
            [self._white[c][s : s + window] for c, s in zip(draw.clip, draw.start, strict=True)]
        )
        other = np.full_like(own, np.nan)  # no partner: unknown, so its term is zero
        for row in np.flatnonzero(draw.other >= 0):
            start = draw.other_start[row]
            other[row] = self._white[draw.other[row]][start : start + window]
        normal = torch.from_numpy(np.repeat(self._normals[draw.clip][:, None], window, axis=1))
        tensors = (*finite_frames(own), *finite_frames(other), normal)
        return tuple(tensor.to(device) for tensor in tensors)


def _fresh_model(data: TrainingData, config: TrainConfig) -> AudioExpressionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = AudioExpressionModel(config.network(data.widths, data.k))
    model.standard.fit(data)
    return model


def _notes(data: TrainingData, sampler: WindowSampler) -> list[str]:
    """What a reader of the run must know about its data."""
    notes = [
        f"tag {tag!r} belongs to identity {identity!r} alone: the second term of eq. 13 is zero"
        for tag, identity in lone_tags(sampler.clips).items()
    ]
    if sampler.too_short:
        names = ", ".join(f"{c.clip_id} ({c.frames})" for c in sampler.too_short[:8])
        notes.append(
            f"{len(sampler.too_short)} training clips are shorter than a window of "
            f"{sampler.window} frames and are not learnt from: {names}"
        )
    unknown = sum(not clip.emotion for clip in sampler.clips)
    if unknown:
        notes.append(
            f"{unknown} training clips have no emotion tag: they are not refined (w_z = 0) and "
            "have no partner in eq. 13"
        )
    if not any(data.part(split) for split in HELD_OUT):
        notes.append("no clip is held out: nothing was validated")
    return notes


def _resume(
    saved: Checkpoint,
    config: TrainConfig,
    state: dict[str, Any],
    model: AudioExpressionModel,
    optimiser: torch.optim.Adam,
) -> None:
    """Take up weights, moments, step and history of an earlier run.

    Raises:
        CheckpointError: its settings or data differ; says which.
    """
    free = FREE if config.final_learning_rate != 1.0 else (*FREE, "steps")
    now, then = config.to_dict(), saved.train.to_dict()
    other = [f"{n}: {then.get(n)} then, {now[n]} now" for n in now if now[n] != then.get(n)]
    other = [text for text in other if text.split(":")[0] not in free]
    if saved.state["data"] != state["data"]:
        other.append(f"data: {saved.state['data'][:12]} then, {state['data'][:12]} now")
    if other:
        raise CheckpointError(
            f"{saved.path} is of another run ({'; '.join(other)}); give another folder, or delete "
            "this one"
        )
    state |= {name: saved.state[name] for name in ("step", "history", "validation", "best")}
    model.load_state_dict(saved.model.state_dict())
    for name, parameter in model.named_parameters():
        moments = {
            key: saved.optimiser[f"{name}/{key}"].clone()
            for key in ("step", "exp_avg", "exp_avg_sq")
        }
        optimiser.state[parameter] = moments


def adam_state(model: AudioExpressionModel, optimiser: torch.optim.Adam) -> dict[str, Tensor]:
    """Adam's moments by parameter name."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimiser.state[parameter].items()
    }


def _validate(
    model: AudioExpressionModel,
    data: TrainingData,
    config: TrainConfig,
    folder: Path,
    state: dict[str, Any],
    board: "_Board",
) -> None:
    """Score the held-out parts; keep the weights if they are the best so far."""
    model.eval()
    parts = validate(model, data, config.window, config.planes)
    if not parts:
        parts = {"train": score(model, data, data.part("train"), config.window, config.planes)}
    state["validation"].append({"step": state["step"], **parts})
    for split, values in parts.items():
        board.write(state["step"], {f"{split}/{name}": value for name, value in values.items()})
    judge = next(iter(parts))
    if state["best"] is None or parts[judge]["rmse"] < state["best"]["rmse"]:
        state["best"] = {"step": state["step"], "split": judge, **parts[judge]}
        save(folder / BEST, model, config, data.planes, state, {})
    model.train()


class _Board:
    """TensorBoard scalars, or nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._writer: Any = None
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"))

    def write(self, step: int, metrics: dict[str, float]) -> None:
        if self._writer:
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        if self._writer:
            self._writer.close()
