"""Commands that look after the machine and the store: doctor, status, maintain."""

import dataclasses
import json
from typing import Annotated

import typer

from flows.commands.options import EXIT_NOTHING_DONE, Json, Profile, Store

app = typer.Typer()


@app.command()
def doctor(
    store: Annotated[str | None, typer.Option(help="Look at this store, too.")] = None,
    profile: Profile = "embedded",
    as_json: Json = False,
) -> None:
    """What of this machine works, what is missing, and the cure.

    Exit code 3 if something that is needed is broken: for the profile asked for, its weights, too.

    Example: emohead doctor --store out/store --profile paper
    """
    from flows.doctor import examine, text

    findings = examine(store, profile)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(found) for found in findings]))
    else:
        typer.echo(text(findings))
    if any(found.state == "broken" and found.needed for found in findings):
        raise typer.Exit(EXIT_NOTHING_DONE)


@app.command()
def status(
    store: Store,
    as_json: Json = False,
) -> None:
    """Latest commits and releases of a store, and the runs of the Prefect server if there is one.

    Example: emohead status out/store
    """
    from flows.status import status as look
    from flows.status import text

    found = look(store)
    typer.echo(json.dumps(found) if as_json else text(found))


@app.command()
def maintain(
    store: Store,
    keep_days: Annotated[
        float, typer.Option(help="Untagged snapshots older than this are forgotten.")
    ] = 30.0,
    read_data: Annotated[bool, typer.Option(help="Hold every chunk against its schema.")] = False,
    as_json: Json = False,
) -> None:
    """Validate a store, forget old snapshots, delete what nothing needs.

    Example: emohead maintain out/store --keep-days 30
    """
    from flows.config import MaintainConfig
    from flows.maintain import maintain as flow
    from flows.orchestra import run

    summary = run(flow, MaintainConfig(store=store, keep_days=keep_days, read_data=read_data))
    typer.echo(json.dumps(summary) if as_json else summary["text"])
