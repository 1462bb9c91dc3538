"""Commands that write what is given to others: export head."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import Json, Made, Out, System

app = typer.Typer()
export_app = typer.Typer(help="Make folders to give away: head.", no_args_is_help=True)
app.add_typer(export_app, name="export")


@export_app.command("head")
def export_head(
    identity: Annotated[str, typer.Option("--identity", help="Whose head.")],
    to: Annotated[Path, typer.Option("--to", help="Folder to write; may hold several heads.")],
    out: Out = Path("emohead-output"),
    store: Annotated[str | None, typer.Option("--store", help="Store; default: OUT/store.")] = None,
    ref: Annotated[str, typer.Option("--ref", help="Branch, release or snapshot id.")] = "main",
    profile: Made = None,
    system: System = "emohead",
    seconds: Annotated[
        float,
        typer.Option(
            min=0.5, max=120, help="Longest stretch of recorded torso and poses that goes along."
        ),
    ] = 20.0,
    as_json: Json = False,
) -> None:
    """A trained head and its network as a folder that speaks without the store.

    It holds recorded pictures of the person, without the head: neck, clothes, background.

    Example: emohead export head --identity M030 --out out --to M030-speaks
    """
    from flows.export_head import ExportHeadConfig
    from flows.export_head import export_head as export
    from flows.systems import network_folder

    record = export(
        ExportHeadConfig(
            store=store or str(out / "store"),
            ref=ref,
            profile=profile,
            identity=identity,
            head=out / "heads" / identity,
            network=network_folder(out, system),
            to=to,
            seconds=seconds,
        )
    )
    if as_json:
        typer.echo(json.dumps(record))
        return
    for note in record["notes"]:
        typer.echo(f"note: {note}")
    size = sum(record["bytes"].values()) / 2**20
    typer.echo(
        f"{record['folder']}: {size:.1f} MiB, with {record['seconds']:.1f} s of {record['clip']}: "
        f"poses, torso, background\nemohead synthesize --out {record['folder']} --identity "
        f"{identity} --audio a.wav"
    )
