"""Command `emohead inspect`: one clip on one clock, in the Rerun viewer or as a file for it."""

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import Dataset, Ref

app = typer.Typer()


@app.command("inspect")
def inspect(
    clip: Annotated[str, typer.Argument(help="Clip id, the beginning of it, or a file name.")],
    store: Annotated[str, typer.Option(help="Folder or URL of the store; only read.")],
    save: Annotated[
        Path | None, typer.Option(help="Write this .rrd file and open no viewer.")
    ] = None,
    dataset: Dataset = "clips",
    ref: Ref = "main",
) -> None:
    """Everything the store knows of a clip on one timeline, in the Rerun viewer.

    Frames, landmarks, masks, sound, words, features as heat maps, mouth, expression, margins of the
    emotion hyperplanes, head pose, quality flags.

    Example: emohead inspect M030_happy_3 --store out/store
    """
    from flows.studio_extra import need_extra

    need_extra("rerun")
    from flows.inspection.show import open_in_viewer, record_clip

    done = (
        record_clip(store, clip, save, dataset, ref)
        if save
        else open_in_viewer(store, clip, dataset, ref)
    )
    if save:
        typer.echo(f"{done.path}: {done.clip_id}, {done.frames} frames, {len(done.sent)} features")
    for feature, why in done.left_out.items():
        typer.echo(f"left out: {feature} ({why})")
