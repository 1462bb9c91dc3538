"""Commands that look into a store and let others take from it: `emohead store ...`.

Exit code 3: the store could not be opened, or is not as it should be.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands import store_care
from flows.commands.options import Json, Ref, Store, show

app = typer.Typer(
    help="Look into a store and keep it in order. Exit codes: 0 done, 1 a bug, 2 wrong usage, "
    "3 refused, or what was looked at is not as it should be.",
    no_args_is_help=True,
)
app.add_typer(store_care.app)


class Files(StrEnum):
    """Forms of an export."""

    npy = "npy"
    safetensors = "safetensors"


@app.command("info")
def info(store: Store, ref: Ref = "main", as_json: Json = False) -> None:
    """Datasets, clips, features and how many cells of each are valid.

    Example: emohead store info out/store
    """
    from flows.store_views import info as view

    show(view(store, ref), as_json)


@app.command("log")
def log(
    store: Store,
    ref: Ref = "main",
    limit: Annotated[int | None, typer.Option(min=1, help="Newest so many only.")] = None,
    as_json: Json = False,
) -> None:
    """Snapshots, newest first, with what made them and their tags.

    Example: emohead store log out/store --limit 5
    """
    from flows.store_views import log as view

    show(view(store, ref, limit), as_json)


@app.command("diff")
def diff(
    store: Store,
    before: Annotated[str, typer.Argument(help="Branch, tag or snapshot id.")],
    after: Annotated[str, typer.Argument(help="Branch, tag or snapshot id.")] = "main",
    examples: Annotated[
        int, typer.Option(min=0, help="Clips named of each group of equal differences.")
    ] = 3,
    as_json: Json = False,
) -> None:
    """Which clips, labels, cells and hyperplanes differ between two snapshots, and why.

    Example: emohead store diff out/store mead-v1 main
    """
    from flows.store_views import diff as view

    show(view(store, before, after, examples), as_json)


@app.command("validate")
def validate(
    store: Store,
    ref: Ref = "main",
    read_data: Annotated[bool, typer.Option(help="Hold every chunk against its schema.")] = False,
    as_json: Json = False,
) -> None:
    """Hold the store against itself; exit code 3 when something is wrong.

    Example: emohead store validate out/store --read-data
    """
    from flows.store_views import validate as view

    show(view(store, ref, read_data=read_data), as_json)


@app.command("export")
def export(
    store: Store,
    folder: Annotated[Path, typer.Argument(help="New or empty folder, or one exported before.")],
    feature: Annotated[
        list[str] | None, typer.Option(help="Feature to write; may be given again.")
    ] = None,
    form: Annotated[
        Files, typer.Option("--format", help="One .npy a cell, or one .safetensors a clip.")
    ] = Files.npy,
    dataset: Annotated[str | None, typer.Option(help="Group of the store, if several.")] = None,
    clip: Annotated[
        list[str] | None, typer.Option(help="Clip whose cells are written; none: all.")
    ] = None,
    ref: Ref = "main",
    as_json: Json = False,
) -> None:
    """Clip table as Parquet, features as .npy or safetensors, hyperplanes as .npz and JSON.

    Example: emohead store export out/store files --feature face/mar --feature audio/logmel
    """
    from flows.store_care import export as view

    names = tuple(feature or ())
    show(view(store, folder, ref, dataset, names, form.value, clip), as_json)


@app.command("packs")
def packs(
    folder: Annotated[Path, typer.Argument(help="Folder that training keeps its packs in.")],
    as_json: Json = False,
) -> None:
    """Packs in a folder: size, snapshot and features of each; exit code 3 if one is damaged.

    Example: emohead store packs out/packs
    """
    from flows.store_care import packs as view

    show(view(folder), as_json)
