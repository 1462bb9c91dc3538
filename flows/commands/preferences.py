"""Commands of the preference study: preferences serve, preferences table."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import Json

app = typer.Typer(help="Ask people which of two videos is better.", no_args_is_help=True)


@app.command("serve")
def serve(
    a: Annotated[Path, typer.Argument(help="Folder of videos.")],
    b: Annotated[Path, typer.Argument(help="Folder of videos with the same file names.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the study and its votes.")],
    names: Annotated[
        str | None, typer.Option(help="What A and B are called in the table, e.g. emohead,truth.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than this machine's own: your risk.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8700,
) -> None:
    """Show blinded pairs in the browser and keep the marks: fidelity, coherence, empathy, 0 to 5.

    Sides and order are shuffled and balanced; a rater goes on where they stopped; marks can be
    changed. Ctrl+C ends it, the votes stay.

    Example: emohead preferences serve ours/ theirs/ --out votes
    """
    called = None
    if names is not None:
        called = tuple(name.strip() for name in names.split(","))
        if len(called) != 2 or not all(called) or called[0] == called[1]:
            raise typer.BadParameter(f"--names {names}: two different names, e.g. ours,theirs")
    from flows.preferences.serve import serve as answer
    from flows.preferences.study import open_study

    study = open_study(a, b, out, called)
    typer.echo(f"{len(study.pairs)} pairs, votes in {out}; Ctrl+C ends", err=True)
    answer(study, out, host, port, lambda address: typer.echo(f"preferences: {address}"))


@app.command("table")
def table(
    votes: Annotated[Path, typer.Argument(help="Folder of the study.")], as_json: Json = False
) -> None:
    """Means, differences with intervals, and how far raters agree.

    Example: emohead preferences table votes
    """
    from flows.preferences.table import write_table

    told, text = write_table(votes)
    typer.echo(json.dumps(told, ensure_ascii=False) if as_json else text)
