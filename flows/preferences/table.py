"""Votes to the table of a study: marks of A and B, their difference, how far raters agree."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from flows.errors import NothingToDo
from flows.preferences.agreement import krippendorff_alpha
from flows.preferences.study import read_study
from flows.preferences.votes import ASPECTS, Vote, Votes
from render.metrics.intervals import crossed_interval

Marks = Float[np.ndarray, "raters pairs"]


def result(folder: Path) -> dict[str, Any]:
    """Everything the votes of a folder say, JSON-able.

    Raises:
        NothingToDo: there is no study, or no vote yet.
    """
    study, votes = read_study(folder), Votes(folder)
    latest = votes.latest()
    raters = [rater for rater in votes.raters() if any(who == rater for who, _ in latest)]
    if not raters:
        raise NothingToDo(f"{folder} holds no vote yet; `emohead preferences serve` asks for them")
    pairs = [pair.name for pair in study.pairs]
    return {
        "names": list(study.names),
        "raters": len(raters),
        "pairs": len(pairs),
        "votes": len(latest),
        "open": len(raters) * len(pairs) - len(latest),
        "aspects": {aspect: _aspect(aspect, latest, raters, pairs) for aspect in ASPECTS},
    }


def _aspect(
    aspect: str, latest: dict[tuple[str, str], Vote], raters: list[str], pairs: list[str]
) -> dict[str, Any]:
    a, b, left = (np.full((len(raters), len(pairs)), np.nan) for _ in range(3))
    for r, rater in enumerate(raters):
        for p, pair in enumerate(pairs):
            if vote := latest.get((rater, pair)):
                a[r, p], b[r, p] = vote.a[aspect], vote.b[aspect]
                left[r, p] = (a - b)[r, p] if vote.a_left else (b - a)[r, p]
    apart = (a - b)[np.isfinite(a)]
    return {
        "a": _interval(a),
        "b": _interval(b),
        "difference": _interval(a - b),
        "a_better": float((apart > 0).mean()),
        "tie": float((apart == 0).mean()),
        "b_better": float((apart < 0).mean()),
        "left_bias": _interval(left),
        "agreement": krippendorff_alpha(np.concatenate([a, b], axis=1)),
    }


def _interval(marks: Marks) -> dict[str, Any]:
    found = crossed_interval(marks)
    return {"mean": found.mean, "low": found.low, "high": found.high, "text": found.text(2)}


def rows(told: dict[str, Any]) -> list[dict[str, str]]:
    """The table for people, a row an aspect."""
    a, b = told["names"]
    return [
        {
            "aspect": aspect.capitalize(),
            f"{a} (0-5)": cell["a"]["text"],
            f"{b} (0-5)": cell["b"]["text"],
            "difference": cell["difference"]["text"],
            f"{a} better": f"{100 * cell['a_better']:.0f} %",
            "tie": f"{100 * cell['tie']:.0f} %",
            f"{b} better": f"{100 * cell['b_better']:.0f} %",
            "left over right": cell["left_bias"]["text"],
            "agreement (α)": "not measured: fewer than two raters on any video, or all marks alike"
            if cell["agreement"] is None
            else f"{cell['agreement']:.2f}",
        }
        for aspect, cell in told["aspects"].items()
    ]


def write_table(folder: Path) -> tuple[dict[str, Any], str]:
    """`table.csv`, `table.json` in the study's folder; the record and its text.

    Raises:
        NothingToDo: there is no vote yet.
    """
    from flows.evaluate import markdown

    told = result(folder)
    lines = rows(told)
    (folder / "table.json").write_text(json.dumps(told, indent=1, ensure_ascii=False), "utf-8")
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    head = (
        f"{told['votes']} votes of {told['raters']} rater(s) on {told['pairs']} pair(s), "
        f"{told['open']} still open. Marks 0-5, mean [95 % bootstrap over raters and pairs]; "
        "agreement: Krippendorff's alpha, interval scale."
    )
    return told, f"{head}\n\n{markdown(lines)}"
