"""`emohead metrics A/ B/`: videos of the same name in two folders, measured pair by pair."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from flows.errors import NothingToDo
from flows.evaluation.results import Shelved, scored
from flows.evaluation.tables import Scored, clip_rows, mean_rows
from flows.progress import step
from pipeline.errors import MediaError
from pipeline.media import MEDIA_SUFFIXES
from render.errors import MetricError
from render.metrics.judges import Judges
from render.metrics.pair import PairOptions


def measure_folders(
    generated: Path,
    reference: Path | None,
    out: Path,
    *,
    emotion: str | None = None,
    options: PairOptions | None = None,
    openface: Path | None = None,
) -> dict[str, Any]:
    """Tables of all pairs in `out`; a video that cannot be read is a row with its reason.

    Scores are kept in `out/scores` by the content of the files: a run that was killed, or is run
    again after some files changed, measures only what is missing.

    Raises:
        NothingToDo: no video, or none with a twin.
    """
    ours = _videos(generated)
    theirs = _videos(reference) if reference else {}
    names = [name for name in ours if reference is None or name in theirs]
    if not names:
        twin = f" with a twin in {reference}" if reference else ""
        raise NothingToDo(
            f"{generated} holds no video{twin} ({len(ours)} videos there, {len(theirs)} in the "
            "other); twins have the same file name"
        )
    judges, shelf = Judges(openface_path=openface), Shelved(out / "scores")
    clips, reused = [], 0
    with step("measure", total=len(names), unit="clips") as bar:
        for name in names:
            try:
                score, found = scored(
                    shelf, ours[name], theirs.get(name), judges, emotion, None, "", options
                )
                clips.append(Scored(name, "", emotion or "", score))
                reused += found
            except (MediaError, MetricError) as error:
                clips.append(Scored(name, "", emotion or "", None, str(error)))
            bar.advance()
    record = {
        "pairs": len(names),
        "reused": reused,
        "without twin": sorted((set(ours) ^ set(theirs)) if reference else ()),
        "cells": {
            clip.clip_id: {k: cell.record() for k, cell in clip.score.generated.items()}
            for clip in clips
            if clip.score is not None
        },
        "tables": {"means": mean_rows(clips), "clips": clip_rows(clips)},
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in record["tables"].items():
        pd.DataFrame(rows).to_csv(out / f"{name}.csv", index=False)
    (out / "evaluation.json").write_text(json.dumps(record, ensure_ascii=False), "utf-8")
    return record


def _videos(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise NothingToDo(f"{folder} is no folder; give two videos, or two folders of videos")
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in MEDIA_SUFFIXES}


def folders_text(record: dict[str, Any]) -> str:
    """The table of means for people."""
    lines = [f"{row['metric']:<36} {row['generated']}" for row in record["tables"]["means"]]
    alone = record["without twin"]
    head = f"{record['pairs']} pairs, {record['reused']} measured before; mean [95 % bootstrap]"
    if alone:
        head += f"; without twin: {', '.join(alone[:5])}{' ...' if len(alone) > 5 else ''}"
    return "\n".join([head, *lines])
