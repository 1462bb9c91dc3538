"""Command `emohead studio`: the web studio on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import Dataset, Ref, StoreOfOut

app = typer.Typer()


@app.command("studio")
def studio(
    out: Annotated[
        Path | None, typer.Option(help="Folder of a job: its store, network, heads, videos.")
    ] = None,
    store: StoreOfOut = None,
    dataset: Dataset = "clips",
    ref: Ref = "main",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8600,
    show: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the address in a browser.")
    ] = True,
) -> None:
    """Look through a store in the browser, move a face along its emotions, preview a timeline.

    Only reads; answers this machine alone; needs no network. Ctrl+C ends it.

    Example: emohead studio --out demo-output
    """
    from flows.studio_extra import need_extra

    need_extra("nicegui")
    from flows.studio.serve import desk_of, serve

    desk = desk_of(out, store, dataset, ref)
    serve(desk, port, show=show, ready=lambda address: typer.echo(f"studio: {address}"))
