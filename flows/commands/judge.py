"""Commands that judge what was made: evaluate, metrics."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.commands.options import OUT, Json, Made, Out, Ref, StoreOfOut, Systems
from flows.names import SYSTEMS, System

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
    drawn: Annotated[
        int | None,
        typer.Option(help="Width in pixels at which it was drawn, where it was enlarged since."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the tables, where folders are given.")
    ] = None,
    openface: OpenFace = None,
    as_json: Json = False,
) -> None:
    """Measure one video, alone or against the true one: pictures, face, lips and sound, emotion.

    Two folders are measured pair by pair of the same file name, into --out; a killed run goes on.
    What cannot be measured says why. Formulas: docs/metrics.md.

    Example: emohead metrics out/video.mp4 true.mp4 --emotion happy
    """
    from flows.measure import measure_pair, pair_text

    if (store is None) != (identity is None):
        raise typer.BadParameter("--store and --identity are given together")
    if generated.is_dir():
        if out is None or store is not None:
            raise typer.BadParameter("folders take --out FOLDER, and no --store")
        from flows.evaluation.folders import folders_text, measure_folders
        from flows.measure import known_tag
        from render.metrics.pair import PairOptions

        told = measure_folders(
            generated,
            reference,
            out,
            emotion=known_tag(emotion) if emotion else None,
            options=PairOptions(resize=resize, trim=trim, drawn=drawn),
            openface=openface,
        )
        typer.echo(json.dumps(told, ensure_ascii=False) if as_json else folders_text(told))
        return
    record = measure_pair(
        generated,
        reference,
        emotion=emotion,
        planes=(store, identity) if store and identity else None,
        resize=resize,
        trim=trim,
        drawn=drawn,
        openface=openface,
    )
    typer.echo(json.dumps(record, ensure_ascii=False) if as_json else pair_text(record))


@app.command()
def evaluate(
    out: Out = OUT,
    store: StoreOfOut = None,
    ref: Ref = "main",
    profile: Made = None,
    frames: Annotated[int, typer.Option(min=1, help="Held-out frames rendered of a head.")] = 12,
    clips: Annotated[
        int | None, typer.Option(min=0, help="Held-out clips spoken of an identity; default: all.")
    ] = None,
    system: Annotated[
        list[Systems] | None,
        typer.Option("--system", help="Whose network; again: the systems side by side."),
    ] = None,
    draw: Annotated[
        Literal["head", "portrait"] | None,
        typer.Option(
            help="The heads, or the video diffusion model; default: heads, and for emodiffhead "
            "the model where OUT has one."
        ),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            "--against", help="Folder of another run, evaluated before; may be given again."
        ),
    ] = None,
    ablation: Annotated[
        list[Path] | None,
        typer.Option(
            "--ablation",
            help="Folder `emohead ablate` wrote, shown in tables IV and VI; may be given again; "
            "default: OUT/ablation and OUT/losses.",
        ),
    ] = None,
    openface: OpenFace = None,
    as_json: Json = False,
) -> None:
    """The paper's protocol on what was held out: clips spoken again, measured, set beside the
    paper's figures; tables and a page in OUT/evaluation (OUT/evaluation-moee, ...).

    A killed run goes on where it was. Runs in --against are compared clip by clip.

    Example: emohead evaluate --out out --against older-out

    Example: emohead evaluate --out out --system emohead --system moee
    """
    from flows.config import EvaluateConfig
    from flows.evaluate import evaluate as flow
    from flows.evaluate import short_text
    from flows.orchestra import run
    from flows.synthesis.one_shot import MODEL
    from flows.systems import network_folder, portrait_folder

    chosen = [one.value for one in system or ()] or [SYSTEMS[0]]
    asked: list[System] = [name for name in SYSTEMS if chosen.count(name)]
    asked.sort(key=lambda name: chosen.index(name))
    missing: list[System] = [name for name in asked if not network_folder(out, name).is_dir()]
    if missing and len(asked) > 1:
        raise typer.BadParameter(
            f"--system {missing[0]}: {network_folder(out, missing[0])} is not there; `emohead "
            f"train network --out {out} --system {missing[0]}` makes it"
        )
    before: list[Path] = []
    record = {}
    for name in reversed(asked):  # the first is evaluated last, beside all the others
        last = name == asked[0]
        portrait = portrait_folder(out, name)
        by_model = (portrait / MODEL).is_file() and name == "emodiffhead"
        drawn = draw or ("portrait" if by_model else "head")
        config = EvaluateConfig(
            store=store or str(out / "store"),
            ref=ref,
            profile=profile,
            network=network_folder(out, name),
            heads=out / "heads",
            frames=frames,
            clips=clips,
            system=name,
            portrait=portrait if drawn == "portrait" else None,
            against=(*before, *(against or ())) if last else (),
            ablation=tuple(ablation or ()),
            openface=openface,
            out=out / ("evaluation" if name == "emohead" else f"evaluation-{name}"),
        )
        record = run(flow, config)
        before.insert(0, config.out)
    typer.echo(json.dumps(record, default=str) if as_json else short_text(record))
    typer.echo(f"page: {record['page']}", err=True)
