"""A training run on disk, written atomically: the engine's arrays and where the run stands.

It knows nothing of engines: a run begun by one goes on with the other.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from render.errors import TrainingError
from render.head_config import HeadConfig

CHECKPOINT = "training.safetensors"


@dataclass(frozen=True)
class Standing:
    """Where a run stands besides its arrays."""

    step: int = 0
    elapsed: float = 0.0
    """Seconds of training so far."""
    rays: int = 0
    """Rays a step now (memory may have halved them)."""
    curve: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


def save(folder: Path, config: HeadConfig, arrays: dict[str, np.ndarray], now: Standing) -> None:
    """Write; a kill at any moment leaves the old checkpoint or the new one, whole."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / (CHECKPOINT + ".draft")
    words = {
        "config": _text(config),
        "standing": json.dumps(
            {
                "step": now.step,
                "elapsed": now.elapsed,
                "rays": now.rays,
                "curve": now.curve,
                "notes": now.notes,
            }
        ),
    }
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, draft, metadata=words)
    draft.replace(folder / CHECKPOINT)


def resume(
    folder: Path, config: HeadConfig, parameters: int
) -> tuple[dict[str, np.ndarray], Standing] | None:
    """The last checkpoint of a run with this config, or None.

    Raises:
        TrainingError: it is of another config or field, or cannot be read.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        with safe_open(path, "np") as opened:
            words = opened.metadata() or {}
        arrays = load_file(path)
    except SafetensorError as error:
        raise TrainingError(
            f"head: {path} cannot be read ({error}); delete it to start anew"
        ) from error
    if words.get("config") != _text(config) or "standing" not in words:
        raise TrainingError(
            f"head: {path} was written with another config; delete it to start anew, or train "
            "with the same config to go on"
        )
    if len(arrays["theta"]) != parameters:
        raise TrainingError(
            f"head: {path} holds {len(arrays['theta'])} parameters, the field has {parameters}; "
            "delete the file to start anew"
        )
    told = json.loads(words["standing"])
    return arrays, Standing(
        told["step"], told["elapsed"], told["rays"], tuple(told["curve"]), tuple(told["notes"])
    )


def _text(config: HeadConfig) -> str:
    return json.dumps(config.what(), sort_keys=True)
