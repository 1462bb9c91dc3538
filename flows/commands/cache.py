"""Commands that bring the cache up to date: plan, preprocess."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import Json, Override, Size, Workers, nested

app = typer.Typer()


@app.command()
def plan(
    folder: Annotated[Path, typer.Argument(help="Folder of videos.")],
    store: Annotated[
        str, typer.Option(help="Folder or URL of the store.")
    ] = "emohead-output/store",
    corpus: Annotated[str, typer.Option(help="Naming scheme.")] = "auto",
    size: Size = 256,
    workers: Workers = 2,
    override: Override = None,
    as_json: Json = False,
) -> None:
    """What preprocessing would compute, and why; nothing is computed.

    Example: emohead plan videos --store out/store
    """
    from flows.config import PreprocessConfig
    from flows.planning import plan_preprocess, plan_text

    config = PreprocessConfig(
        data=folder,
        store=store,
        corpus=corpus,
        size=size,
        workers=workers,
        overrides=nested(override),
    )
    scanned, cells, _ = plan_preprocess(config)
    if as_json:
        typer.echo(json.dumps([cell._asdict() for cell in cells.cells]))
    else:
        typer.echo(plan_text(scanned, cells))


@app.command()
def preprocess(
    folder: Annotated[Path, typer.Argument(help="Folder of videos.")],
    store: Annotated[
        str, typer.Option(help="Folder or URL of the store.")
    ] = "emohead-output/store",
    corpus: Annotated[str, typer.Option(help="Naming scheme.")] = "auto",
    workers: Workers = 2,
    size: Size = 256,
    override: Override = None,
    force: Annotated[list[str] | None, typer.Option(help="Feature to compute again.")] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Dask workers: tcp://host:8786, local:N, slurm:N.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Videos to valid cells; what is valid already is not computed again.

    Example: emohead preprocess videos --store out/store --workers 4
    """
    from flows.config import PreprocessConfig
    from flows.orchestra import run
    from flows.preprocess import preprocess as flow

    config = PreprocessConfig(
        data=folder,
        store=store,
        corpus=corpus,
        workers=workers,
        size=size,
        overrides=nested(override),
        force=tuple(force or ()),
        cluster=cluster,
    )
    summary = run(flow, config)
    typer.echo(json.dumps(summary, indent=2) if as_json else summary["text"])
