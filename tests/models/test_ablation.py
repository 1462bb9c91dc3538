"""Ablation tables: cells are trained once, the paper's direction is compared and said."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import ablation
from models.ablation import Ablation, AblationConfig, run_ablation
from models.ablation_rows import GROUPS, rows_of
from models.ablation_tables import markdown, verdicts, write_tables
from models.config import TrainConfig
from models.data import TrainingData
from models.errors import ModelConfigError, TrainingDataError

TINY = TrainConfig(steps=3, batch=2, window=24, d=8, d_h=8, ffn_widths=(8,), validate_every=3)


def config(**changes: Any) -> AblationConfig:
    return AblationConfig(**({"rows": ("rho", "reg"), "seeds": (0, 1), "train": TINY} | changes))


def test_the_rows_are_the_papers() -> None:
    assert [row.changes["d"] for row in GROUPS["d"]] == [512, 256, 768, 1024]
    assert [row.changes["n"] for row in GROUPS["n"]] == [5, 3, 8, 12]
    assert sorted(row.changes["rho"] for row in GROUPS["rho"]) == [0.2, 0.5, 0.7, 1]
    assert GROUPS["reg"][1].paper == {"RMSE": 0.45, "RMSE CREMA-D": 0.39}
    for row in rows_of(tuple(GROUPS)):  # every row is a setting that can be
        TrainConfig.from_dict(TrainConfig().to_dict() | dict(row.changes))
    with pytest.raises(ModelConfigError, match=r"rows rhoo are unknown; choose of alignment, ref"):
        rows_of(("rhoo",))
    with pytest.raises(ModelConfigError, match=r"seeds are \(1, 1\)"):
        config(seeds=(1, 1))


def test_a_killed_table_goes_on_and_trains_nothing_twice(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[float, int]] = []
    real = ablation.train_audio_expression

    def counted(data: TrainingData, train: TrainConfig, folder: Path) -> Any:
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append((train.rho, train.seed))
        return real(data, train, folder)

    monkeypatch.setattr(ablation, "train_audio_expression", counted)
    with pytest.raises(KeyboardInterrupt):
        run_ablation(data, config(), tmp_path)
    assert trained == [(0.5, 0), (0.2, 0), (0.7, 0)]
    trained.clear()
    monkeypatch.setattr(ablation, "train_audio_expression", real)
    told: list[tuple[int, int, str]] = []
    result = run_ablation(data, config(), tmp_path, lambda *news: told.append(news))
    assert told[0] == (0, 12, "rho: ρ = 0.5, seed 0")
    assert told[-1] == (12, 12, "table")
    # ρ = 0.5 stands in both groups: ten trainings for twelve cells; weights are not kept
    assert len(list((tmp_path / "cells").iterdir())) == 10
    assert not list((tmp_path / "training").iterdir())
    assert json.dumps(result.cells[0]) == json.dumps(result.cells[4])  # NaN equals NaN there
    monkeypatch.setattr(ablation, "train_audio_expression", None)
    again = run_ablation(data, config(), tmp_path)
    assert json.dumps(again.cells) == json.dumps(result.cells)
    record = json.loads(next((tmp_path / "cells").iterdir()).read_text())
    assert record["settings"]["steps"] == 3
    assert set(record["scores"]) == {"RMSE", "jaw r", "target side", "mouth error", "dial"}


def test_without_held_out_clips_there_is_nothing_to_score(
    data: TrainingData, tmp_path: Path
) -> None:
    learnt = replace(data, clips=tuple(replace(c, split="train") for c in data.clips))
    with pytest.raises(TrainingDataError, match="nothing to score"):
        run_ablation(learnt, config(), tmp_path)


def made_up(errors: dict[str, tuple[float, ...]]) -> Ablation:
    """Rows of `reg` and `refinement` with these errors; sides fall from 0.9 to 0.8 and 0.7."""
    rows = rows_of(("reg", "refinement"))
    cells = [
        tuple({"RMSE": e, "jaw r": 0.5, "target side": 0.9 - 0.1 * i} for e in errors[row.name])
        for i, row in enumerate(rows)
    ]
    seeds = tuple(range(len(cells[0])))
    return Ablation(config(seeds=seeds), "held_out_sentence", 8, tuple(rows), tuple(cells), {})


def test_directions_are_compared_within_a_seed() -> None:
    result = made_up(
        {
            "with eq. 13's second term": (0.5, 0.6),
            "without": (0.6, 0.72),
            "with refinement": (0.5, 0.6),
        }
    )
    found = {(v.row.group, v.measure): v for v in verdicts(result)}
    second = found["reg", "RMSE"]
    assert second.paper == pytest.approx(-0.18)  # 0.45 without, 0.27 with
    assert second.ours == pytest.approx(-0.11)
    assert second.spread == pytest.approx(np.std([0.1, 0.12], ddof=1))
    assert second.text == "as in the paper"
    side = found["refinement", "ER"]
    assert (side.paper, side.ours) == pytest.approx((-11.99, -0.1))
    better = replace(second, ours=0.2)
    assert better.text == "**differs from the paper**"
    assert replace(second, spread=0.3).text == "no difference beyond the spread of the seeds"
    assert replace(second, spread=float("nan")).text == "one seed: no spread known; as in the paper"


def test_tables_show_steps_seeds_and_spread(data: TrainingData, tmp_path: Path) -> None:
    result = run_ablation(data, config(rows=("reg",)), tmp_path)
    paths = write_tables(result, tmp_path)
    with paths["csv"].open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4
    assert {line["seed"] for line in lines} == {"0", "1"}
    assert float(lines[0]["RMSE"]) == pytest.approx(result.cells[0][0]["RMSE"], rel=1e-5)
    text = paths["md"].read_text()
    assert text == markdown(result)
    assert "3 steps of 2 windows of 24 frames" in text
    assert "2 seeds (0, 1): mean ± deviation" in text
    assert "| ridge regression |" in text
    assert "RMSE 0.45, RMSE CREMA-D 0.39" in text
    assert paths["png"].read_bytes().startswith(b"\x89PNG")
