"""Several runs on the same clips in one table: systems, or one system trained in several ways."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from flows.errors import NothingToDo
from flows.evaluation.tables import Rows, at_size, title
from render.metrics.catalogue import CATALOGUE, Metric
from render.metrics.intervals import mean_interval

RECORD = "evaluation.json"
Cells = dict[str, dict[str, Any]]
"""Clip → metric → record."""

MEANING = (
    "Means over the clips that all of these runs spoke and in which each was measured, 95 % "
    "bootstrap over clips. A run stands under 'ahead' only where its lead over each of the others, "
    "clip by clip, leaves 0 out of its interval; with many rows some are chance."
)


@dataclass(frozen=True)
class Run:
    """One evaluation that was made."""

    name: str
    """Column of the table."""
    folder: Path
    generated: Cells
    true: Cells = field(default_factory=dict)
    """The same metrics of the true videos, where they have any."""
    reduced: dict[str, Cells] = field(default_factory=dict)
    """The true videos brought to the size the run's own were drawn at, by that size."""
    sets: dict[str, str] = field(default_factory=dict)
    """Metrics of all clips together, as told."""


def read_run(folder: Path) -> Run:
    """An evaluation by the folder it was written to, or by the output folder around it.

    Raises:
        NothingToDo: the folder holds no evaluation, or an old one without clips.
    """
    inside = folder if (folder / RECORD).is_file() else folder / "evaluation"
    path = inside / RECORD
    if not path.is_file():
        raise NothingToDo(f"{folder} holds no {RECORD}; run `emohead evaluate` there first")
    told = json.loads(path.read_text("utf-8"))
    if "cells" not in told:
        raise NothingToDo(f"{path} has no figures by clip; run `emohead evaluate` there again")
    sets = {row["metric"]: str(row["generated"]) for row in told["tables"].get("means", ())}
    name = told.get("system") or inside.name
    return Run(name, inside, told["cells"], told.get("true", {}), told.get("reduced", {}), sets)


def with_names(mine: Run, others: Sequence[Run]) -> list[Run]:
    """A name for each: its system, and where several are of one system, also which run it is."""
    systems = [run.name for run in (mine, *others)]

    def named(run: Run, which: str) -> Run:
        return run if systems.count(run.name) == 1 else replace(run, name=f"{run.name}, {which}")

    return [named(mine, "this run"), *(named(run, str(run.folder)) for run in others)]


def side_by_side(runs: Sequence[Run]) -> Rows:
    """A row a metric, a column a run.

    Raises:
        NothingToDo: the runs have no clip in common.
    """
    common = [c for c in runs[0].generated if all(c in run.generated for run in runs)]
    if not common:
        counts = ", ".join(f"{run.name} {len(run.generated)}" for run in runs)
        raise NothingToDo(
            f"no clip was spoken by all of these runs ({counts} clips); compare runs on one store"
        )
    sizes = _sizes(runs)
    same = all(len(run.generated) == len(common) for run in runs)
    rows: Rows = []
    for key, metric in CATALOGUE.items():
        row: dict[str, Any] = {"metric": title(metric), "better": metric.better}
        if metric.of == "set":
            other = "not measured: the runs spoke other clips; --clips and the network decide which"
            told = {run.name: run.sets.get(title(metric), "not measured") for run in runs}
            row |= told if same else dict.fromkeys(told, other)
            nothing = dict.fromkeys(("true videos", *map(at_size, sizes), "ahead"), "–")
            row |= nothing | {"clips": len(common)}
        else:
            row |= _row(key, metric, runs, common, sizes)
        rows.append(row)
    return rows


def _sizes(runs: Sequence[Run]) -> dict[str, Cells]:
    """Size → what the true videos got at it, whichever of the runs measured that."""
    return {size: cells for run in reversed(runs) for size, cells in run.reduced.items()}


def _row(
    key: str, metric: Metric, runs: Sequence[Run], common: Sequence[str], sizes: dict[str, Cells]
) -> dict[str, Any]:
    values = np.array(
        [[_value(run.generated[clip], key) for clip in common] for run in runs], np.float64
    )
    measured = np.asarray(np.isfinite(values).any(axis=1))
    used = np.asarray(np.isfinite(values[measured]).all(axis=0))
    if not measured.any() or not used.any():
        told = {
            run.name: "not measured: in no clip by all runs" if there else _why(run, key, common)
            for run, there in zip(runs, measured, strict=True)
        }
        nothing = dict.fromkeys(("true videos", *map(at_size, sizes), "ahead"), "–")
        return told | nothing | {"clips": 0}

    def beside(cells: Cells) -> str:
        true = np.array([_value(cells.get(clip, {}), key) for clip in common], np.float64)
        known = true[used & np.isfinite(true)]
        return mean_interval(known).text() if len(known) else "–"

    row: dict[str, Any] = {
        run.name: mean_interval(values[i, used]).text() if measured[i] else _why(run, key, common)
        for i, run in enumerate(runs)
    }
    row["true videos"] = beside(runs[0].true) if metric.of == "one" else "–"
    row |= {at_size(size): beside(cells) for size, cells in sizes.items()}
    names = [run.name for run, there in zip(runs, measured, strict=True) if there]
    row["ahead"] = _ahead(metric, names, values[measured][:, used])
    row["clips"] = int(used.sum())
    return row


def _ahead(metric: Metric, names: Sequence[str], values: Float[np.ndarray, "runs clips"]) -> str:
    """Who is better than everybody else beyond chance; nobody where nobody is."""
    if len(names) < 2:
        return "–"
    if (values == values[0]).all():
        return "all the same"
    if metric.better not in ("higher", "lower"):
        return "–"
    gain = values if metric.better == "higher" else -values
    best = int(gain.mean(axis=1).argmax())
    leads = [mean_interval(gain[best] - gain[i]) for i in range(len(names)) if i != best]
    if any(lead.low is None for lead in leads):
        return "one clip: nothing can be said"
    if all(lead.low is not None and lead.low > 0 for lead in leads):
        return names[best]
    return "no difference can be seen"


def _value(cells: dict[str, Any], key: str) -> float:
    value = cells.get(key, {}).get("value")
    return float("nan") if value is None else float(value)


def _why(run: Run, key: str, common: Sequence[str]) -> str:
    cells = (run.generated[clip].get(key, {}) for clip in common)
    reasons = [cell["why_not"] for cell in cells if cell.get("why_not")]
    return f"not measured: {reasons[0].split(': get ')[0] if reasons else 'not by this run'}"
