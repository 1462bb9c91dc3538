"""Commands of the preference study: preferences serve, preferences table."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import Json

app = typer.Typer(help="Ask people which of two videos is better.", no_args_is_help=True)


@app.command("serve")
def serve(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Two or more folders of videos with the same file names, or evaluations (OUT, "
            "OUT/evaluation, OUT/evaluation-moee) of the same clips.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the study and its votes.")],
    names: Annotated[
        str | None, typer.Option(help="What they are called in the table, e.g. emohead,truth.")
    ] = None,
    truth: Annotated[
        bool, typer.Option("--truth", help="Evaluations: recorded videos as one more choice.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than this machine's own: your risk.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8700,
) -> None:
    """Show blinded pairs in the browser and keep the marks: fidelity, coherence, empathy, 0 to 5.

    Sides and order are shuffled and balanced; a rater goes on where they stopped; marks can be
    changed. Ctrl+C ends it, the votes stay.

    Of more than two folders each two are shown side by side.

    Example: emohead preferences serve ours/ theirs/ --out votes

    Example: emohead preferences serve out/evaluation out/evaluation-moee --truth --out votes
    """
    called = None
    if names is not None:
        called = tuple(name.strip() for name in names.split(","))
        if not all(called) or len(set(called)) != len(called):
            raise typer.BadParameter(
                f"--names {names}: a different name for each, e.g. ours,theirs"
            )
    from flows.preferences.serve import serve as answer
    from flows.preferences.study import open_study

    study = open_study(folders, out, called, truth=truth)
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
