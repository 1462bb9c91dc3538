"""Scores of many clips to tables: clips, means with intervals, the paper's figures beside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flows.evaluation import quoted
from flows.measure import fid_of
from render.metrics.catalogue import CATALOGUE, Metric
from render.metrics.intervals import mean_interval
from render.metrics.measured import Measured
from render.metrics.pair import PairScore

Rows = list[dict[str, Any]]
PEOPLE = ("Fidelity", "Coherence", "Empathy")
REDUCED = (
    "Generated frames were drawn smaller than the recorded ones. 'True videos at N px' are the "
    "recorded frames brought to that size, and enlarged as the generated ones are, judged in their "
    "place: what a video would get that is perfect but for its size. Held against the true videos "
    "at full size, a small video is judged by its size, too."
)


@dataclass(frozen=True)
class Scored:
    """One clip and what was measured of it; or why nothing was."""

    clip_id: str
    identity: str
    emotion: str
    score: PairScore | None
    why_not: str = ""


def title(metric: Metric) -> str:
    """``M-LMD [px]``."""
    return f"{metric.name} [{metric.unit}]" if metric.unit else metric.name


def size_of(score: PairScore | None) -> str:
    """`64 px` or `64x36 px`, where the true video was also measured at that size; else empty."""
    if score is None or score.drawn is None:
        return ""
    across, down = score.drawn
    return f"{across} px" if across == down else f"{across}x{down} px"


def sizes_of(clips: Sequence[Scored]) -> list[str]:
    """Sizes to which true videos were brought, each once."""
    return list(dict.fromkeys(size for clip in clips if (size := size_of(clip.score))))


def at_size(size: str) -> str:
    """Name of a column.

    >>> at_size("64 px")
    'true videos at 64 px'
    """
    return f"true videos at {size}"


def reduced_cells(clips: Sequence[Scored]) -> dict[str, dict[str, dict[str, Any]]]:
    """Size → clip → metric → record of the true video brought to it."""
    return {
        size: {
            clip.clip_id: {k: cell.record() for k, cell in clip.score.reduced.items()}
            for clip in clips
            if clip.score is not None and size_of(clip.score) == size
        }
        for size in sizes_of(clips)
    }


def clip_rows(clips: Sequence[Scored]) -> Rows:
    """A row a clip; metrics that no clip has are left to the table of means, which says why."""
    known = [
        key
        for key in CATALOGUE
        if any(c.score and key in c.score.generated and c.score.generated[key].known for c in clips)
    ]
    rows: Rows = []
    for clip in clips:
        row: dict[str, Any] = {
            "clip": clip.clip_id,
            "identity": clip.identity,
            "emotion": clip.emotion or "unlabelled",
            "frames": clip.score.facts["generated"]["frames"] if clip.score else 0,
        }
        for key in known:
            cell = clip.score.generated.get(key) if clip.score else None
            told: Any = f"not measured: {clip.why_not}"
            if cell is not None:
                told = cell.value if cell.known else cell.text()
            row[title(CATALOGUE[key])] = told
        rows.append(row)
    return rows


def mean_rows(clips: Sequence[Scored]) -> Rows:
    """A row a metric: mean over clips with its interval, the reference's own mean beside it."""
    scores = [clip.score for clip in clips if clip.score is not None]
    rows: Rows = []
    for key, metric in CATALOGUE.items():
        if metric.of == "set":
            cell = fid_of(scores)
            ours, note, truth = cell.text(), cell.note, "–"
        else:
            cells = [s.generated[key] for s in scores]
            ours, note = _mean(cells)
            truth = _mean([s.reference[key] for s in scores if key in s.reference])[0]
            truth = truth if metric.of == "one" else "–"
        small = {
            at_size(size): _brief(_reduced(scores, size, key, metric)) for size in sizes_of(clips)
        }
        if (brief := _brief(ours)) != ours:
            note = ours.removeprefix(f"{brief}: ")
        rows.append(
            {
                "metric": title(metric),
                "better": metric.better,
                "generated": brief,
                "true videos": _brief(truth),
                **small,
                "note": note,
                "formula": metric.formula,
            }
        )
    return rows


def _reduced(scores: Sequence[PairScore], size: str, key: str, metric: Metric) -> str:
    """Mean of the true videos that were brought to a size."""
    if metric.of == "set":
        return "–"
    return _mean([score.reduced[key] for score in scores if size_of(score) == size])[0]


def _mean(cells: Sequence[Measured]) -> tuple[str, str]:
    """Mean and interval over clips; the reason where there is none, how many lack it else."""
    values = np.array([cell.value for cell in cells if cell.value is not None], np.float64)
    reasons = list(dict.fromkeys(cell.why_not for cell in cells if cell.why_not))
    if not len(values):
        return f"not measured: {'; '.join(reasons[:2]) or 'no clip was measured'}", ""
    lacking = len(cells) - len(values)
    note = f"{len(values)} clips" + (f", {lacking} not measured: {reasons[0]}" if lacking else "")
    told = [cell.note for cell in cells if cell.known and cell.note]
    if len(set(told)) == 1:
        note += f"; {told[0]}" + ("" if len(told) == len(values) else f" ({len(told)} of them)")
    return mean_interval(values).text(), note


def beside(
    clips: Sequence[Scored], table: Sequence[quoted.Quoted], people: dict[str, str] | None
) -> Rows:
    """Tables I and II: the paper's rows as quoted, then this run's."""
    columns = [c for c in quoted.COLUMNS if any(c in row.figures for row in table)]
    rows: Rows = [
        {"method": f"{row.method} (quoted)"} | {c: row.figures.get(c, "–") for c in columns}
        for row in table
    ]
    scores = [clip.score for clip in clips if clip.score is not None]
    place = {m.column: key for key, m in CATALOGUE.items() if m.column}
    ours: dict[str, Any] = {"method": "this run (other data)"}
    truth: dict[str, Any] = {"method": "this run's true videos"}
    small: Rows = [{"method": f"this run's {at_size(size)}"} for size in sizes_of(clips)]
    for column in columns:
        for size, row in zip(sizes_of(clips), small, strict=True):
            key = place.get(column)
            row[column] = _brief(_reduced(scores, size, key, CATALOGUE[key])) if key else "–"
        if column in PEOPLE:
            asked = "not measured: ask people with `emohead preferences serve`"
            ours[column] = (people or {}).get(column, asked)
            truth[column] = "–"
            continue
        key = place[column]
        if CATALOGUE[key].of == "set":
            ours[column], truth[column] = _brief(fid_of(scores).text()), "–"
            continue
        ours[column] = _brief(_mean([s.generated[key] for s in scores])[0])
        one = CATALOGUE[key].of == "one"
        truth[column] = _brief(_mean([s.reference[key] for s in scores])[0]) if one else "–"
    return [*rows, ours, truth, *small]


def _brief(text: str) -> str:
    """A reason without its cure, which is said once, in the notes of the table of means."""
    return text.split(": get ")[0].split(": build ")[0]


def function_rows(clips: Sequence[Scored], sides: Sequence[float]) -> Rows:
    """Table III: what can be done, with what this run shows of it."""
    said = "claimed (ticks are lost in the text at hand)"
    margin = (
        f"{np.mean(sides):.0f} % of frames on the target side over {len(sides)} held-out clips"
        if len(sides)
        else "not measured: no clip with a hyperplane"
    )
    here = (
        "by `emohead synthesize --emotion 'happy@0-2, sad@3-5'`; not measured by this table",
        "by `emohead synthesize --orbit`; not measured by this table",
        f"one emotion a clip: {margin}",
    )
    return [
        {"function": name, "EmoHead (quoted)": said, "this run": told}
        for name, told in zip(quoted.FUNCTIONS, here, strict=True)
    ]
