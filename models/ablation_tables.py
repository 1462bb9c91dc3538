"""An ablation as CSV, Markdown and a plot, with the paper's figures beside and a plain verdict."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.ablation import METRICS, Ablation
from models.ablation_rows import LOWER, Row

COMPARED = {"RMSE": ("RMSE", "RMSE"), "M-LMD": ("M-LMD", "RMSE"), "ER": ("ER", "target side")}
"""Paper's measure → (its name, ours that stands for it): lips' distance by whitened RMSE, emotion
recognition by the side of the hyperplane."""


@dataclass(frozen=True)
class Verdict:
    """Whether leaving the paper's choice does here what it does there."""

    row: Row
    measure: str
    """The paper's."""
    paper: float
    """How much better (above 0) or worse the row is than the reference, in the paper."""
    ours: float
    """The same of our stand-in: mean over seeds."""
    spread: float
    """Deviation of our difference over seeds; NaN with one seed."""

    @property
    def text(self) -> str:
        """In words."""
        if not np.isfinite(self.spread):
            certain = "one seed: no spread known; "
        elif abs(self.ours) <= self.spread:
            return "no difference beyond the spread of the seeds"
        else:
            certain = ""
        alike = np.sign(self.ours) == np.sign(self.paper)
        return certain + ("as in the paper" if alike else "**differs from the paper**")


def summary(result: Ablation, row: int, metric: str) -> tuple[float, float]:
    """Mean and deviation over seeds (n - 1; NaN with one seed); NaN where nothing is known."""
    values = np.array([cell[metric] for cell in result.cells[row]])
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def verdicts(result: Ablation) -> list[Verdict]:
    """Every row that is not its group's reference, by every measure the paper gives for it.

    Differences are taken within a seed, so that what a seed does to both rows cancels.
    """
    found = []
    for i, row in enumerate(result.rows):
        first = next(j for j, other in enumerate(result.rows) if other.group == row.group)
        for measure, (theirs, metric) in COMPARED.items():
            if i == first or theirs not in row.paper:
                continue
            sign = -1 if metric == "RMSE" else 1
            pairs = zip(result.cells[i], result.cells[first], strict=True)
            gains = np.array([sign * (a[metric] - b[metric]) for a, b in pairs])
            paper = row.paper[theirs] - result.rows[first].paper[theirs]
            spread = float(gains.std(ddof=1)) if len(gains) > 1 else float("nan")
            lower = -1 if theirs in LOWER else 1
            found.append(Verdict(row, measure, lower * paper, float(gains.mean()), spread))
    return found


def write_tables(result: Ablation, folder: Path) -> dict[str, Path]:
    """`ablation.csv` (a line a row and seed), `ablation.md`, `ablation.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"ablation.{kind}" for kind in ("csv", "md", "png")}
    with paths["csv"].open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["group", "row", "seed", "steps", *METRICS])
        for row, cells in zip(result.rows, result.cells, strict=True):
            for seed, cell in zip(result.config.seeds, cells, strict=True):
                values = [format(cell[metric], ".6g") for metric in METRICS]
                table.writerow([row.group, row.name, seed, result.config.train.steps, *values])
    paths["md"].write_text(markdown(result))
    plot(result, paths["png"])
    return paths


def markdown(result: Ablation) -> str:
    """The table and, below it, every comparison with the paper in words."""
    train, seeds = result.config.train, result.config.seeds
    lines = [
        "# Ablations of the audio-expression network",
        "",
        f"{train.steps:,} steps of {train.batch} windows of {train.window} frames, learning rate "
        f"{train.learning_rate:g}; {len(seeds)} seed{'s' * (len(seeds) > 1)} "
        f"({', '.join(map(str, seeds))}): mean ± deviation over seeds. Scored on {result.clips} "
        f"clips ({result.split.replace('_', ' ')}). The paper trains 20,000 steps.",
        "",
        "RMSE: whitened coefficients, lower is better. jaw r: correlation of the mouth's opening. "
        "target side: share of frames on the asked emotion's side of its hyperplane when it is not "
        "the voice's (eq. 9, or by label); mouth error: the mouth's distance from the recorded "
        "opening then, in deviations, lower. dial: least Spearman correlation of a label's "
        "intensity and the margin.",
        "",
        "| row | " + " | ".join(METRICS) + " | paper |",
        "|---|" + "---:|" * len(METRICS) + "---|",
    ]
    empty = " |" * len(METRICS)
    lines += [f"| {name} | {value:.3f} |{empty}" for name, value in result.baselines.items()]
    group = ""
    for i, row in enumerate(result.rows):
        if row.group != group:
            group = row.group
            lines.append(f"| **{group}** |" + " |" * (len(METRICS) + 1))
        shown = " | ".join(_shown(*summary(result, i, metric)) for metric in METRICS)
        paper = ", ".join(f"{name} {value:g}" for name, value in row.paper.items())
        lines.append(f"| {row.name} | {shown} | {paper} |")
    lines += ["", "## Against the paper", ""]
    lines += [
        "Better (+) or worse (-) than the group's first row. The stand-ins are ours: whitened RMSE "
        "for the paper's RMSE and M-LMD, target side for ER. A verdict needs a difference above "
        "one deviation over seeds; with few seeds and many rows some are chance.",
        "",
        "| row | paper's measure | paper | here | verdict |",
        "|---|---|---:|---:|---|",
    ]
    for v in verdicts(result):
        here = _shown(v.ours, v.spread, "+.3f")
        lines.append(
            f"| {v.row.group}: {v.row.name} | {v.measure} | {v.paper:+.3g} | {here} | {v.text} |"
        )
    return "\n".join(lines) + "\n"


def plot(result: Ablation, path: Path) -> None:
    """A panel a metric, a point a seed, a bar at the mean."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [f"{row.group}: {row.name}" for row in result.rows]
    figure = Figure(figsize=(4 * len(METRICS) + 2, 0.28 * len(names) + 1), layout="constrained")
    FigureCanvasAgg(figure)
    for n, metric in enumerate(METRICS):
        axes = figure.add_subplot(1, len(METRICS), n + 1)
        for i, cells in enumerate(result.cells):
            values = [cell[metric] for cell in cells]
            axes.plot(values, [i] * len(values), "o", color="C0", alpha=0.5, markersize=4)
            axes.plot(np.mean(values), i, "|", color="C3", markersize=14)
        axes.set_title(metric)
        axes.set_yticks(range(len(names)), names if n == 0 else [""] * len(names))
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)


def _shown(mean: float, spread: float, form: str = ".3f") -> str:
    if not np.isfinite(mean):
        return "–"
    return format(mean, form) + (f" ± {spread:.3f}" if np.isfinite(spread) else "")
