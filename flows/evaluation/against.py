"""Two evaluations side by side: differences clip by clip, with intervals."""

from typing import Any

import numpy as np

from flows.errors import NothingToDo
from flows.evaluation.tables import Rows, title
from render.metrics.catalogue import CATALOGUE
from render.metrics.intervals import mean_interval


def comparison(
    ours: dict[str, dict[str, Any]], theirs: dict[str, dict[str, Any]], other: str
) -> Rows:
    """A row a metric: the mean of (this − other) over clips measured in both, with its interval.

    Raises:
        NothingToDo: the two have no clip in common.
    """
    common = [clip for clip in ours if clip in theirs]
    if not common:
        raise NothingToDo(
            f"no clip of this run is in {other}: {len(ours)} clips against {len(theirs)}; compare "
            "runs on one store"
        )
    rows: Rows = []
    for key, metric in CATALOGUE.items():
        if metric.of == "set":
            continue
        pairs = [
            (ours[c][key]["value"], theirs[c][key]["value"])
            for c in common
            if key in ours[c] and key in theirs[c]
        ]
        both = np.array([p for p in pairs if None not in p], np.float64).reshape(-1, 2)
        row: dict[str, Any] = {"metric": title(metric), "better": metric.better}
        if not len(both):
            reasons = [c[key]["why_not"] for c in (ours[common[0]], theirs[common[0]]) if key in c]
            why = next((r for r in reasons if r), "no clip has it in both")
            row |= {"this": "", "other": "", "difference": f"not measured: {why}", "verdict": ""}
            rows.append(row)
            continue
        apart = mean_interval(both[:, 0] - both[:, 1])
        row |= {
            "this": float(both[:, 0].mean()),
            "other": float(both[:, 1].mean()),
            "difference": apart.text(),
            "verdict": _verdict(metric.better, both, apart.low, apart.high),
            "clips": len(both),
        }
        rows.append(row)
    return rows


def _verdict(better: str, both: np.ndarray, low: float | None, high: float | None) -> str:
    """In words; nothing is called better unless the interval leaves 0 out."""
    if np.array_equal(both[:, 0], both[:, 1]):
        return "the same"
    if low is None or high is None:
        return "one clip: nothing can be said"
    if low <= 0 <= high:
        return "no difference can be seen"
    if better not in ("higher", "lower"):
        return "differs"
    return "better" if (low > 0) == (better == "higher") else "worse"
