"""Pages about what was made: `emohead report ...`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import Dataset, Json, Ref, Store

app = typer.Typer(help="Write pages about a store.", no_args_is_help=True)


@app.callback()
def pages() -> None:
    """Write pages about a store."""


@app.command("store")
def quality(
    store: Store,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("quality.html"),
    dataset: Dataset = "clips",
    ref: Ref = "main",
    cards: Annotated[int, typer.Option(min=0, max=2000, help="Clips shown with pictures.")] = 60,
    as_json: Json = False,
) -> None:
    """Quality of every clip on one page: counts, reasons, pictures, curves.

    The page holds small pictures of the people in the store.

    Example: emohead report store out/store --out quality.html
    """
    from flows.quality_page import write_quality_page

    page = str(write_quality_page(store, out, dataset, ref, cards=cards))
    typer.echo(json.dumps({"page": page}) if as_json else f"wrote {page}")
