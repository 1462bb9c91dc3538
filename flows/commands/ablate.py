"""Command that measures what a choice is worth: ablate."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from flows.commands.options import Json, Made, Setting, nested

app = typer.Typer()


@app.command()
def ablate(
    store: Annotated[str, typer.Argument(help="Folder or URL of a preprocessed store.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the tables and finished trainings.")
    ] = Path("ablation"),
    rows: Annotated[
        str,
        typer.Option(
            help="Groups of rows: alignment, refinement, d, n, rho, reg (EmoHead); experts (MoEE); "
            "generator (EMOdiffhead); emotion-free (both)."
        ),
    ] = "alignment,refinement,d,n,rho,reg",
    seeds: Annotated[str, typer.Option(help="One training a row and seed, e.g. 0,1,2.")] = "0,1,2",
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps a training; unset: the preset's (paper 20,000, demo 800)."),
    ] = None,
    preset: Annotated[Literal["demo", "paper"], typer.Option(help="Sizes and steps.")] = "paper",
    profile: Made = None,
    head: Annotated[
        str | None,
        typer.Option(help="An identity: instead, the losses of its head (table VI), 5 min a row."),
    ] = None,
    train: Setting = None,
    as_json: Json = False,
) -> None:
    """Ablations of the audio-expression network (the paper's tables IV and VI), with seeds and
    spread; or of a head's losses. Killed, the same command goes on.

    Example: emohead ablate demo-output/store --rows rho,reg --steps 300 --out ablation

    Example: emohead ablate demo-output/store --head iris --train head.seconds=150 --out losses
    """
    settings = nested(train)
    if head is not None:
        _ablate_head(store, out, head, profile, settings, as_json)
        return
    if unknown := sorted(set(settings) - {"network"}):
        raise typer.BadParameter(f"--train {unknown[0]}...: choose network.NAME")
    try:
        numbers = tuple(int(seed) for seed in seeds.split(","))
    except ValueError:
        raise typer.BadParameter(f"--seeds {seeds}: whole numbers, e.g. 0,1,2") from None
    from flows.ablate import AblationFlowConfig
    from flows.ablate import ablate as flow
    from flows.orchestra import run

    paths = run(
        flow,
        AblationFlowConfig(
            store=store,
            out=out,
            rows=tuple(row.strip() for row in rows.split(",")),
            seeds=numbers,
            profile=profile,
            preset=preset,
            settings=settings.get("network", {}) | ({"steps": steps} if steps else {}),
        ),
    )
    plain = "\n".join(f"{kind}: {path}" for kind, path in paths.items())
    typer.echo(json.dumps(paths) if as_json else plain)


def _ablate_head(
    store: str,
    out: Path,
    identity: str,
    profile: str | None,
    settings: dict[str, dict[str, Any]],
    as_json: bool,
) -> None:
    if unknown := sorted(set(settings) - {"head"}):
        raise typer.BadParameter(f"--train {unknown[0]}...: with --head, choose head.NAME")
    from flows.ablate_head import HeadAblationConfig, ablate_head
    from flows.orchestra import run

    chosen = settings.get("head", {})
    config = HeadAblationConfig(
        store=store, out=out, identity=identity, profile=profile, settings=chosen
    )
    record = run(ablate_head, config)
    typer.echo(json.dumps(record, default=str) if as_json else record["text"])
