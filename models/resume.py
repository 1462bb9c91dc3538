"""Taking up a training where a killed run left it."""

from typing import Any

import torch
from torch import Tensor

from models.average import Average
from models.checkpoint import AudioExpressionModel, Checkpoint
from models.compatibility import check_store
from models.config import TrainConfig
from models.data import TrainingData
from models.errors import CheckpointError

FREE = ("validate_every", "save_every", "log_every", "tensorboard")
"""Settings that may change between two runs of one training; the number of steps may too, while
nothing is a share of it."""

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def resume(
    saved: Checkpoint,
    config: TrainConfig,
    data: TrainingData,
    state: dict[str, Any],
    model: AudioExpressionModel,
    optimiser: torch.optim.AdamW,
    average: Average,
    scaler: torch.amp.GradScaler,
) -> None:
    """Put weights, average, moments, scale, step and history of an earlier run into place.

    Raises:
        CheckpointError: its settings or data differ; says which.
    """
    # A schedule, and the stages of MoEE, are shares of the steps.
    fixed = config.final_learning_rate != 1.0 or config.architecture == "moee"
    free = FREE if fixed else (*FREE, "steps")
    now, then = config.to_dict(), saved.train.to_dict()
    other = [
        f"{name}: {then.get(name)} then, {now[name]} now"
        for name in now
        if name not in free and now[name] != then.get(name)
    ]
    if other:
        raise _of_another_run(saved, "; ".join(other))
    if saved.state["data"] != state["data"]:
        check_store(saved, data)
        raise _of_another_run(
            saved, f"data: {saved.state['data'][:12]} then, {state['data'][:12]} now"
        )
    state |= {name: saved.state[name] for name in ("step", "history", "validation", "best")}
    model.load_state_dict(saved.model.state_dict())
    average.load(saved.optimiser)
    if saved.state.get("scaler"):
        scaler.load_state_dict(saved.state["scaler"])
    for name, parameter in model.named_parameters():
        if f"{name}/step" not in saved.optimiser:
            continue  # held still so far: Adam has no moments of it
        moments = {key: saved.optimiser[f"{name}/{key}"] for key in MOMENTS}
        optimiser.state[parameter] = {
            key: value.clone().to(parameter.device) for key, value in moments.items()
        }


def optimiser_state(model: AudioExpressionModel, optimiser: torch.optim.AdamW) -> dict[str, Tensor]:
    """Adam's moments by parameter name."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimiser.state[parameter].items()
    }


def _of_another_run(saved: Checkpoint, what: str) -> CheckpointError:
    return CheckpointError(
        f"{saved.path} is of another run ({what}); give another folder, or delete this one"
    )
