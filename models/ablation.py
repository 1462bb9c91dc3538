"""Ablations of the audio-expression network: every row trained with every seed, each cell once.

A cell is one training and what it scored, kept as JSON under a name made of data and settings.
Killed at any moment, the same command goes on in the cell that was being trained; rows that share
a setting (every group's reference) share the cell.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.ablation_rows import Row, rows_of
from models.baselines import fit_mean, fit_ridge
from models.checkpoint import Checkpoint, data_digest
from models.config import TrainConfig
from models.control import ControlConfig
from models.data import HELD_OUT, ClipRow, Split, TrainingData
from models.emotion_free import hide_labels
from models.errors import ModelConfigError, TrainingDataError
from models.label_scores import dial_scores
from models.steering_scores import steering_scores
from models.trainer import train_audio_expression
from models.validate import correlations, predict_clip, rmse

MOUTH = "jaw_open"
"""Coefficient whose correlation stands for the lips."""

CELL_VERSION = 2
"""Raised when a cell's figures change their meaning: older cells are then trained again."""

METRICS = ("RMSE", "jaw r", "target side", "mouth error", "dial")
"""Whitened RMSE (lower is better); correlation of the mouth's opening, the mean correlation where
the extractor has no such coefficient (higher); share of frames on the target's side of its
hyperplane when another emotion than the voice's is asked for, by eq. 9 or by label (higher); the
mouth's distance from the recorded opening then, in deviations (lower; NaN where it was not
recorded); least Spearman correlation of a label's intensity and the margin (higher; NaN for
networks that are told no label, and where nothing moves)."""

Cell = dict[str, float]
Told = Callable[[int, int, str], None]
"""Called with (trainings done, trainings in all, what comes next)."""


@dataclass(frozen=True)
class AblationConfig:
    """What is trained."""

    rows: tuple[str, ...] = ("alignment", "refinement", "d", "n", "rho", "reg")
    """Groups of rows; see `models.ablation_rows.GROUPS`."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One training a row and seed."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Settings of every training, but for the row's changes and the seed."""

    def __post_init__(self) -> None:
        """Refuse no or equal seeds, and rows that do not exist."""
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ModelConfigError(f"seeds are {self.seeds}; give different ones, at least one")
        rows_of(self.rows)


@dataclass(frozen=True)
class Ablation:
    """All cells of a table."""

    config: AblationConfig
    split: Split
    """Held-out part that was scored."""
    clips: int
    """Its number of clips."""
    rows: tuple[Row, ...]
    cells: tuple[tuple[Cell, ...], ...]
    """Scores by row and seed."""
    baselines: dict[str, float]
    """Whitened RMSE of what does not depend on a setting."""


def run_ablation(
    data: TrainingData, config: AblationConfig, folder: Path, told: Told | None = None
) -> Ablation:
    """Train and score what the folder does not hold yet.

    Raises:
        TrainingDataError: no clip is held out.
        ModelConfigError: a row's settings cannot be.
    """
    split: Split | None = next((s for s in HELD_OUT if data.part(s)), None)
    if split is None:
        raise TrainingDataError(
            "no clip is held out, an ablation has nothing to score; add clips or sentences"
        )
    rows = rows_of(config.rows)
    held = data.part(split)
    total, done = len(rows) * len(config.seeds), 0
    cells: list[list[Cell]] = [[] for _ in rows]
    for seed in config.seeds:  # a whole table with one seed before the next seed begins
        for i, row in enumerate(rows):
            settings = config.train.to_dict() | dict(row.changes) | {"seed": seed}
            if told:
                told(done, total, f"{row.group}: {row.name}, seed {seed}")
            seen = hide_labels(data, row.hidden, seed)
            cells[i].append(_cell(seen, TrainConfig.from_dict(settings), held, folder))
            done += 1
    if told:
        told(done, total, "table")
    baselines = {
        "mean expression": _rmse_of(fit_mean(data), data, held),
        "ridge regression": _rmse_of(fit_ridge(data), data, held),
    }
    return Ablation(config, split, len(held), tuple(rows), tuple(map(tuple, cells)), baselines)


def cell_name(digest: str, train: TrainConfig) -> str:
    """Name of the cell of these data and settings."""
    text = json.dumps([CELL_VERSION, digest, train.to_dict()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def scores_of(checkpoint: Checkpoint, data: TrainingData, held: Sequence[ClipRow]) -> Cell:
    """`METRICS` of a trained network."""
    window, planes = checkpoint.train.window, checkpoint.train.planes
    predicted = np.concatenate(
        [predict_clip(checkpoint.model, data, clip, window, planes) for clip in held]
    )
    true = np.concatenate([data.whitened(clip) for clip in held])
    r = correlations(predicted, true)
    names = data.planes[held[0].identity].names
    r = r[[names.index(MOUTH)]] if MOUTH in names else r[np.isfinite(r)]
    asked = steering_scores(checkpoint, data, held, ControlConfig("tau"), own=False)
    side = np.mean([score.side for score in asked]) if asked else np.nan
    mouth = np.mean([score.mouth_error for score in asked]) if asked else np.nan
    labels = checkpoint.model.config.takes_labels
    dial = dial_scores(checkpoint, data, held).monotone if labels else np.nan
    values = (rmse(predicted, true), r.mean() if len(r) else np.nan, side, mouth, dial)
    return dict(zip(METRICS, map(float, values), strict=True))


def _cell(data: TrainingData, train: TrainConfig, held: Sequence[ClipRow], folder: Path) -> Cell:
    digest = data_digest(data)
    name = cell_name(digest, train)
    path, run = folder / "cells" / f"{name}.json", folder / "training" / name
    if path.is_file():
        return json.loads(path.read_text())["scores"]
    began = time.monotonic()
    checkpoint = train_audio_expression(data, train, run)
    record: dict[str, Any] = {
        "scores": scores_of(checkpoint, data, held),
        "best step": checkpoint.step,
        "parameters": sum(p.numel() for p in checkpoint.model.network.parameters()),
        "seconds": round(time.monotonic() - began, 1),
        "settings": train.to_dict(),
        "data": digest,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w") as file:
        json.dump(record, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    shutil.rmtree(run)  # weights of d = 1024 take 100 MB; the settings bring them back
    return record["scores"]


def _rmse_of(baseline: Any, data: TrainingData, held: Sequence[ClipRow]) -> float:
    predicted = np.concatenate([baseline.predict(data, clip) for clip in held])
    return rmse(predicted, np.concatenate([data.whitened(clip) for clip in held]))
