"""Votes to the table of a study: marks of A and B, their difference, how far raters agree."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from flows.errors import NothingToDo
from flows.preferences.agreement import krippendorff_alpha
from flows.preferences.study import Study, read_study
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
    couples: dict[tuple[int, int], list[str]] = {}
    for pair in study.pairs:
        couples.setdefault(pair.of, []).append(pair.name)
    told = [
        {
            "names": [study.names[i] for i in of],
            "aspects": {aspect: _aspect(aspect, latest, raters, pairs) for aspect in ASPECTS},
        }
        for of, pairs in couples.items()
    ]
    both = {"aspects": told[0]["aspects"]} if len(told) == 1 else {}
    return {
        "names": list(study.names),
        "raters": len(raters),
        "pairs": len(study.pairs),
        "votes": len(latest),
        "open": len(raters) * len(study.pairs) - len(latest),
        **both,
        "couples": told,
        "marks": {
            aspect: {
                name: _interval(_marks_of(aspect, which, study, latest, raters))
                for which, name in enumerate(study.names)
            }
            for aspect in ASPECTS
        },
    }


def _marks_of(
    aspect: str, which: int, study: Study, latest: dict[tuple[str, str], Vote], raters: list[str]
) -> Marks:
    """All marks one choice was given, whatever it was shown beside."""
    shown = [pair for pair in study.pairs if which in pair.of]
    marks = np.full((len(raters), len(shown)), np.nan)
    for r, rater in enumerate(raters):
        for p, pair in enumerate(shown):
            if vote := latest.get((rater, pair.name)):
                marks[r, p] = (vote.a if pair.of[0] == which else vote.b)[aspect]
    return marks


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
    """The table for people, a row an aspect; of more than two choices, each two of them."""
    return [line for couple in told["couples"] for line in _rows(couple, len(told["couples"]) > 1)]


def _rows(couple: dict[str, Any], several: bool) -> list[dict[str, str]]:
    a, b = ("A", "B") if several else couple["names"]
    who = dict(zip(("A", "B"), couple["names"], strict=True)) if several else {}
    return [
        {
            **who,
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
        for aspect, cell in couple["aspects"].items()
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
    if len(told["couples"]) > 1:
        means = [
            {"choice": name, **{a.capitalize(): told["marks"][a][name]["text"] for a in ASPECTS}}
            for name in told["names"]
        ]
        head += f"\n\nAll marks of a choice:\n\n{markdown(means)}\n\nTwo by two:"
    return told, f"{head}\n\n{markdown(lines)}"
