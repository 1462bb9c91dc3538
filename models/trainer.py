"""Training of the audio-expression network: one plain loop that can be killed at any moment."""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.adversary import Adversary
from models.average import Average
from models.batches import Batch, Batches
from models.checkpoint import BEST, LAST, AudioExpressionModel, Checkpoint, data_digest, load, save
from models.config import TrainConfig
from models.data import TrainingData
from models.emotion_free import learnt_from
from models.errors import TrainingDivergedError
from models.experts.network import ExpertNetwork, stage_of
from models.loss import regression_loss
from models.mouth import fit_mouths
from models.resume import optimiser_state, resume
from models.run_notes import notes_of
from models.scalars import Board
from models.validate import score, validate
from models.voices import fit_voices

LOG = logging.getLogger(__name__)

Progress = Callable[[int, int, dict[str, float]], None]
"""Called with (step, steps, metrics)."""


def train_audio_expression(
    data: TrainingData, config: TrainConfig, folder: Path, progress: Progress | None = None
) -> Checkpoint:
    """Train, or go on where an earlier run of the same configuration stopped.

    Windows are a function of (seed, step); weights, their average and Adam's moments are saved
    together: on a CPU with the same number of threads a resumed run ends with the same bits as one
    that never stopped.

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
        TrainingDataError: no training clip is as long as a window.
        TrainingDivergedError: the loss is not finite any more.
    """
    device = torch.device(config.device)
    model = _fresh_model(data, config).to(device)
    mouths = fit_mouths(data)
    batches = Batches(data, config, model.standard, mouths)
    # Without decay AdamW is Adam.
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    average = Average(model, config.ema)
    adversary = Adversary(config, data.k)
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "float16")
    state: dict[str, Any] = {
        "step": 0,
        "data": data_digest(data),
        "provenance": dict(data.provenance),
        "mouth": {who: mouth.to_dict() for who, mouth in mouths.items()},
        "voices": fit_voices(data).to_dict() if model.config.takes_labels else None,
        "notes": notes_of(data, batches.sampler, model.config.takes_labels),
        "history": [],
        "validation": [],
        "best": None,
    }
    for note in state["notes"]:
        LOG.info(note)
    if (folder / LAST).is_file():
        saved = load(folder, "last")
        resume(saved, config, data, state, model, optimiser, average, scaler)
        adversary.load(saved.optimiser)
    network = torch.compile(model.network) if config.compile else model.network
    board = Board(folder if config.tensorboard else None)
    losses: list[float] = []
    began, first = time.monotonic(), state["step"]
    for step in range(first, config.steps):
        batch = batches.of(step)
        _enter_stage(model, config, step, state)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(config, step)
        with autocast(config):
            alpha_hat = expression_of(network, batch)
            loss = loss_of(alpha_hat, batch, config.rho) + adversary.loss(alpha_hat, batch)
        optimiser.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
        adversary.learn(alpha_hat, batch)
        average.update(model)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise TrainingDivergedError(
                f"the loss is {losses[-1]} at step {step}; lower learning_rate "
                f"({config.learning_rate:g}); {folder} keeps the last checkpoint before"
            )

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
            _validate(average.of(model), data, config, folder, state, board)
        if done % config.save_every == 0 or done == config.steps:
            extra = optimiser_state(model, optimiser) | average.state() | adversary.state()
            state["scaler"] = scaler.state_dict()
            save(folder / LAST, model, config, data.planes, state, extra)
    board.close()
    return load(folder, "best")


def expression_of(network: Callable[..., Any], batch: Batch) -> Float[Tensor, "batch frames k"]:
    """α̂ of one batch, in the units of the loss."""
    inputs = batch.inputs
    said = network(
        inputs.audio, inputs.emotion, inputs.text, batch.normal, inputs.past, batch.asked
    )
    return said.alpha_hat.float() * batch.scale + batch.offset


def loss_of(
    alpha_hat: Float[Tensor, "batch frames k"], batch: Batch, rho: float
) -> Float[Tensor, ""]:
    """Eq. 13 of one batch."""
    return regression_loss(
        alpha_hat, batch.own, batch.own_known, batch.other, batch.other_known, rho
    )


def _enter_stage(
    model: AudioExpressionModel, config: TrainConfig, step: int, state: dict[str, Any]
) -> None:
    """MoEE's two stages; the best network is one that has been through both."""
    if not isinstance(model.network, ExpertNetwork):
        return
    share = config.stage_1 if config.experts else 1.0
    stage = stage_of(step, config.steps, share)
    model.network.enter(stage)
    if stage == 2 and (step == 0 or stage_of(step - 1, config.steps, share) == 1):
        state["best"] = None


def learning_rate(config: TrainConfig, step: int) -> float:
    """Constant, or a half cosine from the first to the last value."""
    end = config.final_learning_rate
    wave = 0.5 * (1 + math.cos(math.pi * step / config.steps))
    return config.learning_rate * (end + (1 - end) * wave)


def autocast(config: TrainConfig) -> torch.autocast:
    """Matrix products in the precision asked for."""
    kind = torch.device(config.device).type
    reduced = config.precision != "float32"
    dtype = getattr(torch, config.precision) if reduced else None
    return torch.autocast(kind, dtype=dtype, enabled=reduced)


def _fresh_model(data: TrainingData, config: TrainConfig) -> AudioExpressionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = AudioExpressionModel(config.network(data.widths, data.k))
    model.standard.fit(data, learnt_from(data, config.emotion_free))
    return model


def _validate(
    model: AudioExpressionModel,
    data: TrainingData,
    config: TrainConfig,
    folder: Path,
    state: dict[str, Any],
    board: Board,
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
