"""Commands that judge videos: metrics."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import Json

app = typer.Typer()

OpenFace = Annotated[
    Path | None,
    typer.Option("--openface", help="OpenFace 2.2's FeatureExtraction; else $EMOHEAD_OPENFACE."),
]


@app.command()
def metrics(
    generated: Annotated[Path, typer.Argument(help="Video to judge.")],
    reference: Annotated[
        Path | None, typer.Argument(help="The true video of the same frames, if there is one.")
    ] = None,
    emotion: Annotated[
        str | None, typer.Option("--emotion", help="What it should show, e.g. happy.")
    ] = None,
    store: Annotated[
        str | None, typer.Option("--store", help="Store with hyperplanes, with --identity.")
    ] = None,
    identity: Annotated[
        str | None, typer.Option("--identity", help="Whose hyperplanes and statistics.")
    ] = None,
    resize: Annotated[
        bool, typer.Option("--resize", help="Scale the video to the reference's size.")
    ] = False,
    trim: Annotated[
        bool, typer.Option("--trim", help="Compare the frames both have, from the start.")
    ] = False,
    openface: OpenFace = None,
    as_json: Json = False,
) -> None:
    """Measure one video, alone or against the true one: pictures, face, lips and sound, emotion.

    What cannot be measured says why. Formulas: docs/metrics.md.

    Example: emohead metrics out/video.mp4 true.mp4 --emotion happy
    """
    from flows.measure import measure_pair, pair_text

    if (store is None) != (identity is None):
        raise typer.BadParameter("--store and --identity are given together")
    record = measure_pair(
        generated,
        reference,
        emotion=emotion,
        planes=(store, identity) if store and identity else None,
        resize=resize,
        trim=trim,
        openface=openface,
    )
    typer.echo(json.dumps(record, ensure_ascii=False) if as_json else pair_text(record))
