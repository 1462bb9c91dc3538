"""Flow `evaluate`: what was trained from a store, held against what was never trained on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import reuse
from flows.config import EvaluateConfig
from flows.errors import NothingToDo
from flows.evaluation.ablations import ablations_of
from flows.evaluation.against import comparison
from flows.evaluation.page import Part, write_page
from flows.evaluation.protocol import parts_of, run_protocol
from flows.evaluation.side_by_side import MEANING, Run, read_run, side_by_side, with_names
from flows.evaluation.tables import REDUCED
from flows.fit_hyperplanes import read_planes
from flows.orchestra import call, note_table
from flows.progress import step
from flows.store_features import named
from flows.train_audio_expression import evaluate as score_network
from flows.train_audio_expression import packs_of, training_data
from flows.train_head import head_clips, head_data, scores_of
from pipeline.hyperplanes import POOLED
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
    the paper's figures stand beside, as quoted, and other runs, where some are named. Tables are
    written as CSV, Markdown and one HTML page beside `evaluation.json`. What is not there is named
    "not measured". A run that was killed makes and measures no clip twice.

    Raises:
        NothingToDo: the store holds no hyperplanes, or a folder in `against` or `ablation` is none.
        CheckpointError: the network was trained on another store.
    """
    others = [read_run(folder) for folder in dict.fromkeys(config.against)]
    ablations = ablations_of(config.ablation, config.out.parent, config.store)
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
        folders = reuse.current(config.heads)
        if folders:
            tables["heads"] = [call(head_row, snapshot, config, folder) for folder in folders]
        else:
            missing["heads"] = f"{config.heads} holds no head"
    if config.clips == 0:
        missing["held-out clips"] = "none were asked for (--clips 0)"
    elif not ((folders or config.portrait) and config.network.is_dir()):
        missing["held-out clips"] = "to speak them again takes a network and a head"
    parts, outcome = {}, None
    if "held-out clips" not in missing:
        known = dict.fromkeys(row["scope"] for row in tables["hyperplanes"])
        who = [folder.name for folder in folders] or [name for name in known if name != POOLED]
        outcome = call(run_protocol, snapshot, config, who)
        missing |= outcome.missing
        parts = parts_of(outcome, snapshot, config, ablations)
        sets = {row["metric"]: row["generated"] for row in parts["means"].rows}
        mine = Run(
            config.system, config.out, outcome.cells(), outcome.true(), outcome.reduced(), sets
        )
        mine, *others = with_names(mine, others)
        try:
            parts = compared(mine, others) | parts
        except NothingToDo as error:  # what was measured is worth having without
            missing["side by side"] = str(error)
    tables |= {name: part.rows for name, part in parts.items()}
    for name, rows in tables.items():
        note_table(f"evaluation-{name}", rows)
    record: dict[str, Any] = {"system": config.system, "snapshot": snapshot.id, "tables": tables}
    record["not measured"] = missing
    if outcome is not None:
        record |= {"cells": outcome.cells(), "true": outcome.true()}
        record["reduced"] = outcome.reduced()
        record |= {"remarks": outcome.remarks, "reused": outcome.reused}
    written = write(config.out, record, {name: part.notice for name, part in parts.items()})
    rest = [Part(name.capitalize(), rows) for name, rows in tables.items() if name not in parts]
    rest += [Part(name, [], f"not measured: {why}") for name, why in missing.items()]
    told = "; ".join(outcome.remarks) if outcome else ""
    drawn = f"drawn by {config.portrait}" if config.portrait else "drawn by the heads"
    lead = f"System {config.system}, {drawn}, snapshot {snapshot.id}. {told}"
    made = outcome.made if outcome else []
    page = write_page(
        config.out, "Evaluation", lead, made, [*parts.values(), *rest], config.system, others
    )
    return {**written, "page": str(page)}


def compared(mine: Run, others: Sequence[Run]) -> dict[str, Part]:
    """This run beside all others in one table, and less each of them.

    Raises:
        NothingToDo: no clip in common.
    """
    if not others:
        return {}
    names = ", ".join(run.name for run in others)
    small = any(run.reduced for run in (mine, *others))
    meaning = f"{MEANING} {REDUCED}" if small else MEANING
    parts = {
        "side-by-side": Part(f"Beside {names}", side_by_side([mine, *others]), meaning),
    }
    for at, other in enumerate(others):
        rows = comparison(mine.generated, other.generated, str(other.folder))
        place = "against" if at == 0 else f"against-{at + 1}"
        parts[place] = Part(f"Against {other.name}", rows, PAIRED)
    return parts


def write(out: Path, record: dict[str, Any], notices: Mapping[str, str]) -> dict[str, Any]:
    """The tables as files, each with its notice; returns the record with their text."""
    out.mkdir(parents=True, exist_ok=True)
    parts = []
    for name, rows in record["tables"].items():
        frame = pd.DataFrame(rows)
        frame.to_csv(out / f"{name}.csv", index=False)
        notice = notices.get(name, "")
        parts.append("\n\n".join(filter(None, (f"## {name}", notice, markdown(rows)))) + "\n")
    parts += [f"{name}: not measured: {why}\n" for name, why in record["not measured"].items()]
    text = "\n".join(parts)
    (out / "evaluation.md").write_text(text, "utf-8")
    (out / "evaluation.json").write_text(json.dumps(record, indent=1, default=str), "utf-8")
    return {**record, "text": text}


def short_text(record: dict[str, Any]) -> str:
    """What a terminal is shown: the tables that are this run's own, the rest is in files."""
    tables = dict(record["tables"])
    if "means" in tables:
        left_out = ("better", "note", "formula")
        tables["means"] = [
            {name: cell for name, cell in row.items() if name not in left_out}
            for row in tables["means"]
        ]
    order = ("side-by-side", "against", "means", "heads", "network", "hyperplanes")
    shown = [name for first in order for name in tables if name.startswith(first)]
    parts = [f"{name}\n{markdown(tables[name])}\n" for name in shown]
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
