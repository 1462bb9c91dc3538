"""Commands on a store: `emohead store ...`."""

from typing import Annotated

import typer

from flows.commands.options import EXIT_NOTHING_DONE

app = typer.Typer(help="Look into a store and keep it in order.", no_args_is_help=True)


@app.command("info")
def info(
    store: Annotated[str, typer.Argument(help="Folder or URL of the store.")],
    ref: Annotated[str, typer.Option(help="Branch, tag or snapshot id.")] = "main",
) -> None:
    """Datasets, clips, features and how many cells of each are valid.

    Example: emohead store info out/store
    """
    from flows.store_views import info_text

    typer.echo(info_text(store, ref))


@app.command("log")
def log(store: Annotated[str, typer.Argument(help="Folder or URL of the store.")]) -> None:
    """Snapshots, newest first, with what made them.

    Example: emohead store log out/store
    """
    from flows.store_views import log_text

    typer.echo(log_text(store))


@app.command("validate")
def validate(
    store: Annotated[str, typer.Argument(help="Folder or URL of the store.")],
    read_data: Annotated[bool, typer.Option(help="Hold every chunk against its schema.")] = False,
) -> None:
    """Hold the store against itself; exit code 3 when something is wrong.

    Example: emohead store validate out/store --read-data
    """
    from flows.store_views import validate_text

    text, sound = validate_text(store, read_data=read_data)
    typer.echo(text)
    if not sound:
        raise typer.Exit(EXIT_NOTHING_DONE)
