"""Commands that bring the cache up to date: plan, preprocess, update."""

import json
from typing import Annotated

import typer

from flows.commands.options import (
    OUT,
    Cache,
    Corpus,
    Dataset,
    Json,
    Override,
    Profile,
    Report,
    Size,
    Videos,
    Workers,
    nested,
)

app = typer.Typer()

STORE = f"{OUT}/store"
Shots = Annotated[
    bool, typer.Option("--shots", help="Make each shot of a recording with cuts a clip.")
]
Rehash = Annotated[
    bool,
    typer.Option("--rehash", help="Read every file anew, also where size and time are as before."),
]
Commit = Annotated[
    int,
    typer.Option("--clips-per-commit", min=1, max=100_000, help="What a crash can cost at most."),
]
Prune = Annotated[bool, typer.Option("--prune", help="Remove clips that left the folder.")]
Cluster = Annotated[
    str | None, typer.Option("--cluster", help="Dask workers: tcp://host:8786, local:N, slurm:N.")
]
Wait = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait for another run on this store.")
]
Resource = Annotated[
    list[str] | None,
    typer.Option(help="What a Dask worker must have for a task, e.g. GPU=1; may be given again."),
]
UpdateOverride = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Encoder setting, e.g. logmel.mels=64, or how planes are fitted, e.g. "
        "hyperplanes.groups=7; may be given again.",
    ),
]


def counted(pairs: list[str] | None) -> dict[str, float]:
    """``["GPU=1"]`` → ``{"GPU": 1.0}``.

    Raises:
        typer.BadParameter: a pair that is not NAME=NUMBER.
    """
    found = {}
    for pair in pairs or []:
        name, _, number = pair.partition("=")
        try:
            found[name] = float(number)
        except ValueError as error:
            raise typer.BadParameter(f"{pair!r} is not NAME=NUMBER, e.g. GPU=1") from error
    return found


@app.command()
def plan(
    folder: Videos,
    store: Cache = STORE,
    corpus: Corpus = "auto",
    shots: Shots = False,
    profile: Profile = "embedded",
    size: Size = 256,
    workers: Workers = 2,
    override: Override = None,
    as_json: Json = False,
) -> None:
    """What preprocessing would compute, and why; nothing is computed.

    Example: emohead plan videos --store out/store
    """
    from flows.config import PreprocessConfig
    from flows.estimate import estimate
    from flows.planning import plan_preprocess, plan_text, store_of

    config = PreprocessConfig(
        data=folder,
        store=store,
        corpus=corpus,
        shots=shots,
        profile=profile,
        size=size,
        workers=workers,
        overrides=nested(override),
    )
    scanned, cells, encoders = plan_preprocess(config)
    expected = estimate(cells, scanned.clips, encoders, store_of(config.store))
    if as_json:
        found = {
            "cells": [cell._asdict() for cell in cells.cells],
            "labels": [change._asdict() for change in cells.rows],
            "removed": list(cells.removed),
            "refused": [{"file": str(path), "reason": why} for path, why in scanned.rejected],
            "frames": expected.frames,
            "worker_seconds": expected.seconds,
            "not_timed": list(expected.unmeasured),
        }
        typer.echo(json.dumps(found))
    else:
        typer.echo(plan_text(scanned, cells))
        if cells.cells:
            typer.echo(expected.text(workers))


@app.command()
def preprocess(
    folder: Videos,
    store: Cache = STORE,
    corpus: Corpus = "auto",
    shots: Shots = False,
    profile: Profile = "embedded",
    feature: Annotated[
        list[str] | None, typer.Option(help="Feature to compute; none named: all.")
    ] = None,
    workers: Workers = 2,
    size: Size = 256,
    override: Override = None,
    force: Annotated[list[str] | None, typer.Option(help="Feature to compute again.")] = None,
    cluster: Cluster = None,
    retry_failed: Annotated[
        bool, typer.Option(help="Try again what died, hung or met a bug.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Read the whole store; compute what is damaged again.")
    ] = False,
    prune: Prune = False,
    rehash: Rehash = False,
    wait: Wait = 3600.0,
    resource: Resource = None,
    clips_per_commit: Commit = 500,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Videos to valid cells; what is valid already is not computed again.

    Example: emohead preprocess videos --store out/store --workers 4 --report quality.html
    """
    from flows.config import PreprocessConfig
    from flows.orchestra import run
    from flows.planning import profile_of
    from flows.preprocess import preprocess as flow

    config = PreprocessConfig(
        data=folder,
        store=store,
        corpus=corpus,
        shots=shots,
        profile=profile,
        features=tuple(feature or ()),
        workers=workers,
        size=size,
        overrides=nested(override),
        rehash=rehash,
        wait_seconds=wait,
        resources=counted(resource),
        clips_per_commit=clips_per_commit,
        force=tuple(force or ()),
        cluster=cluster,
        retry_failed=retry_failed,
        repair=repair,
        prune=prune,
        report=report,
    )
    profile_of(config)  # weights that are missing are said before a server starts
    summary = run(flow, config)
    typer.echo(json.dumps(summary, indent=2) if as_json else summary["text"])


@app.command()
def update(
    folder: Videos,
    store: Cache = STORE,
    dataset: Dataset = "clips",
    corpus: Corpus = "auto",
    shots: Shots = False,
    profile: Profile = "embedded",
    release: Annotated[
        str | None, typer.Option(help="Name the result, e.g. mead-{date}, if anything changed.")
    ] = None,
    prune: Prune = False,
    workers: Workers = 2,
    size: Size = 256,
    override: UpdateOverride = None,
    cluster: Cluster = None,
    rehash: Rehash = False,
    wait: Wait = 3600.0,
    resource: Resource = None,
    clips_per_commit: Commit = 500,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """What a nightly schedule does: new and changed videos to cells, hyperplanes, a release.

    Example: emohead update videos --store out/store --release "mead-{date}"
    """
    from flows.config import UpdateConfig
    from flows.orchestra import run
    from flows.planning import profile_of
    from flows.update import update as flow

    encoders = nested(override)
    planes = encoders.pop("hyperplanes", {})
    config = UpdateConfig(
        data=folder,
        store=store,
        dataset=dataset,
        corpus=corpus,
        shots=shots,
        profile=profile,
        release=release,
        prune=prune,
        workers=workers,
        size=size,
        overrides=encoders,
        planes=planes,
        rehash=rehash,
        wait_seconds=wait,
        resources=counted(resource),
        clips_per_commit=clips_per_commit,
        cluster=cluster,
        report=report,
    )
    profile_of(config)  # weights that are missing are said before a server starts
    summary = run(flow, config)
    typer.echo(json.dumps(summary, indent=2, default=str) if as_json else summary["text"])
