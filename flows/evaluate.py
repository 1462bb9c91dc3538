"""Flow `evaluate`: what was trained from a store, held against what was never trained on."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.config import EvaluateConfig
from flows.evaluation.against import comparison, read_cells
from flows.evaluation.page import Part, write_page
from flows.evaluation.protocol import parts_of, run_protocol
from flows.evaluation.quoted import NOTICE
from flows.fit_hyperplanes import read_planes
from flows.orchestra import call, note_table
from flows.progress import step
from flows.store_features import named
from flows.train_audio_expression import evaluate as score_network
from flows.train_audio_expression import packs_of, training_data
from flows.train_head import head_clips, head_data, scores_of
from store import Cache, Snapshot

Rows = list[dict[str, Any]]
PAIRED = (
    "This run less the other, clip by clip; 95 % bootstrap over clips. A verdict is given only "
    "where the interval leaves 0 out."
)


def hyperplane_rows(snapshot: Snapshot, config: EvaluateConfig) -> Rows:
    """Balanced accuracy of each plane on clips it was not fitted on."""
    sets = read_planes(snapshot, config.dataset, config.names.expression)
    return [
        {
            "scope": scope,
            "emotion": tag,
            "balanced accuracy": plane.accuracy,
            "how": plane.accuracy_note,
            "clips": plane.clips,
            "frames": plane.frames,
        }
        for scope, planes in sets.items()
        for tag, plane in planes.planes.items()
    ]


@task(name="score network", cache_policy=NO_CACHE, persist_result=False)
def network_rows(snapshot: Snapshot, config: EvaluateConfig) -> Rows:
    """Held-out error of the network beside its baselines."""
    packs = packs_of(config.network)
    data = training_data(snapshot, config.dataset, config.names, packs)
    return score_network(data, config.network)["table"]


@task(name="score head", cache_policy=NO_CACHE, persist_result=False)
def head_row(snapshot: Snapshot, config: EvaluateConfig, folder: Path) -> dict[str, Any]:
    """Scores of a head on held-out frames, or why they were not measured."""
    identity = folder.name
    clip_ids = head_clips(snapshot, config.dataset, identity, config.names)
    data = head_data(snapshot, config.dataset, clip_ids, config.names)
    return {"identity": identity, **scores_of(folder, data, config.frames)}


@flow(name="evaluate", flow_run_name="evaluate {config.out}", persist_result=False)
def evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """Score hyperplanes, network and heads on what was held out, by the paper's protocol.

    Every held-out clip of an identity with a head is spoken again and measured against the truth;
    the paper's figures stand beside, as quoted. Tables are written as CSV, Markdown and one HTML
    page beside `evaluation.json`. What is not there is named "not measured". A run that was killed
    makes and measures no clip twice.

    Raises:
        NothingToDo: the store holds no hyperplanes, or `against` has no clip in common.
        CheckpointError: the network was trained on another store.
    """
    cache = Cache.open(config.store)
    snapshot = cache.snapshot(config.ref)
    config = named(config, cache, snapshot)
    tables: dict[str, Rows] = {}
    missing: dict[str, str] = {}
    with step("evaluate"):
        tables["hyperplanes"] = hyperplane_rows(snapshot, config)
        if config.network.is_dir():
            tables["network"] = call(network_rows, snapshot, config)
        else:
            missing["network"] = f"{config.network} holds no network"
        folders = sorted(path for path in config.heads.glob("*") if path.is_dir())
        if folders:
            tables["heads"] = [call(head_row, snapshot, config, folder) for folder in folders]
        else:
            missing["heads"] = f"{config.heads} holds no head"
    if config.clips == 0:
        missing["held-out clips"] = "none were asked for (--clips 0)"
    elif not (folders and config.network.is_dir()):
        missing["held-out clips"] = "to speak them again takes a network and a head"
    parts, outcome = {}, None
    if "held-out clips" not in missing:
        outcome = call(run_protocol, snapshot, config, [folder.name for folder in folders])
        missing |= outcome.missing
        parts = parts_of(outcome, snapshot, config)
        if config.against is not None:
            rows = comparison(outcome.cells(), read_cells(config.against), str(config.against))
            parts = {"against": Part(f"Against {config.against}", rows, PAIRED)} | parts
    tables |= {name: part.rows for name, part in parts.items()}
    for name, rows in tables.items():
        note_table(f"evaluation-{name}", rows)
    record = {"snapshot": snapshot.id, "tables": tables, "not measured": missing}
    if outcome is not None:
        record |= {"cells": outcome.cells(), "remarks": outcome.remarks, "reused": outcome.reused}
    written = write(config.out, record)
    others = [Part(name.capitalize(), rows) for name, rows in tables.items() if name not in parts]
    others += [Part(name, [], f"not measured: {why}") for name, why in missing.items()]
    told = "; ".join(outcome.remarks) if outcome else ""
    lead = f"Snapshot {snapshot.id}. {told}"
    made = outcome.made if outcome else []
    page = write_page(config.out, "Evaluation", lead, made, [*parts.values(), *others])
    return {**written, "page": str(page)}


def write(out: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The tables as files; returns the record with their text."""
    out.mkdir(parents=True, exist_ok=True)
    parts = []
    for name, rows in record["tables"].items():
        frame = pd.DataFrame(rows)
        frame.to_csv(out / f"{name}.csv", index=False)
        notice = f"{NOTICE}\n\n" if name.startswith("table-") else ""
        parts.append(f"## {name}\n\n{notice}{markdown(rows)}\n")
    parts += [f"{name}: not measured: {why}\n" for name, why in record["not measured"].items()]
    text = "\n".join(parts)
    (out / "evaluation.md").write_text(text, "utf-8")
    (out / "evaluation.json").write_text(json.dumps(record, indent=1, default=str), "utf-8")
    return {**record, "text": text}


def short_text(record: dict[str, Any]) -> str:
    """What a terminal is shown: the tables that are this run's own, the rest is in files."""
    tables = dict(record["tables"])
    if "means" in tables:
        kept = ("metric", "generated", "true videos")
        tables["means"] = [{name: row[name] for name in kept} for row in tables["means"]]
    shown = ("against", "means", "heads", "network", "hyperplanes")
    parts = [f"{name}\n{markdown(tables[name])}\n" for name in shown if name in tables]
    parts += [f"{name}: not measured: {why}" for name, why in record["not measured"].items()]
    return "\n".join(parts)


def markdown(rows: Rows) -> str:
    """Rows as a Markdown table; columns in the order they first appear.

    >>> print(markdown([{"a": 1, "b": 0.12345}, {"a": 2}]))
    | a | b |
    |---|---|
    | 1 | 0.123 |
    | 2 |  |
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for row in rows:
        values = (row.get(name, "") for name in columns)
        shown = (
            f"{v:.3f}" if isinstance(v, float) else str("" if v is None else v) for v in values
        )
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines)
