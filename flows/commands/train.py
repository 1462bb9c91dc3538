"""Commands that train models: fit-hyperplanes, train network, train head.

They share the folder layout of `emohead run`: OUT/store, OUT/network, OUT/heads/IDENTITY.
"""

import json
from typing import Annotated, Any

import typer

from flows.commands.options import (
    OUT,
    Json,
    Made,
    Out,
    PlaneSetting,
    Ref,
    Setting,
    StoreOfOut,
    System,
    grouped,
)
from flows.names import HeadPreset, PortraitSystem, Preset

app = typer.Typer()
train_app = typer.Typer(help="Train from a store: network, head, portrait.", no_args_is_help=True)
app.add_typer(train_app, name="train")


def _settings(train: list[str] | None, group: str) -> dict[str, Any]:
    return grouped(train, group, "--train")


@app.command("fit-hyperplanes")
def fit_hyperplanes(
    out: Out = OUT,
    store: StoreOfOut = None,
    profile: Made = None,
    setting: PlaneSetting = None,
    as_json: Json = False,
) -> None:
    """Fit the emotion directions of every identity, and pooled, from the valid expression cells.

    What was fitted on these very cells with these very settings is not fitted again.

    Example: emohead fit-hyperplanes --out out --set hyperplanes.groups=7
    """
    from flows.config import HyperplaneFlowConfig
    from flows.fit_hyperplanes import fit_hyperplanes as flow
    from flows.orchestra import run
    from flows.store_features import expression_of
    from store import Cache

    location = store or str(out / "store")
    expression = expression_of(Cache.open(location), "clips", profile=profile)
    config = HyperplaneFlowConfig(
        store=location,
        expression=expression,
        settings=grouped(setting, "hyperplanes", "--set"),
    )
    summary = run(flow, config)
    if as_json:
        typer.echo(json.dumps(summary))
        return
    for plane in summary["planes"]:
        held_out = plane["held-out accuracy"]
        accuracy = f"{held_out:.3f} on held-out clips" if held_out is not None else plane["how"]
        typer.echo(f"{plane['scope']:<16} {plane['emotion']:<10} {accuracy}")
    for refusal in summary["rejected"]:
        typer.echo(f"{refusal['scope']:<16} {refusal['emotion']:<10} none: {refusal['reason']}")


@train_app.command("network")
def train_network(
    out: Out = OUT,
    store: StoreOfOut = None,
    ref: Ref = "main",
    profile: Made = None,
    system: System = "emohead",
    preset: Annotated[Preset, typer.Option(help="Sizes and number of steps.")] = "paper",
    train: Setting = None,
    as_json: Json = False,
) -> None:
    """Train the audio-expression network into OUT/network; a killed run goes on where it was.

    Another system's network goes beside it, into OUT/network-SYSTEM.

    Example: emohead train network --out out --preset demo --train network.steps=500
    """
    from flows.config import AudioExpressionFlowConfig
    from flows.orchestra import run
    from flows.systems import network_folder
    from flows.train_audio_expression import train_audio_expression as flow

    config = AudioExpressionFlowConfig(
        store=store or str(out / "store"),
        ref=ref,
        profile=profile,
        system=system,
        out=network_folder(out, system),
        preset=preset,
        settings=_settings(train, "network"),
    )
    summary = run(flow, config)
    if as_json:
        typer.echo(json.dumps(summary, default=str))
        return
    for note in summary["notes"]:
        typer.echo(f"note: {note}")
    for row in summary["table"]:
        typer.echo("  ".join(f"{name} {_short(value)}" for name, value in row.items()))
    typer.echo(f"network: {config.out}{_reused(summary)}")


@train_app.command("head")
def train_head(
    identity: Annotated[str, typer.Option("--identity", help="Whose head.")],
    out: Out = OUT,
    store: StoreOfOut = None,
    ref: Ref = "main",
    profile: Made = None,
    preset: Annotated[
        HeadPreset,
        typer.Option(help="demo: 150 s; quick: 5 min; paper: 200,000 steps; gpu: so many on CUDA."),
    ] = "paper",
    score: Annotated[
        int, typer.Option(min=0, help="Held-out frames scored afterwards; 0: none.")
    ] = 12,
    train: Setting = None,
    as_json: Json = False,
) -> None:
    """Train the head of one identity into OUT/heads/IDENTITY, and score it on held-out frames.

    Curves and previews: tensorboard --logdir OUT/heads/IDENTITY. A killed run goes on.

    Example: emohead train head --identity M030 --out out --preset quick --train head.rays=1024
    """
    from flows.config import HeadFlowConfig
    from flows.orchestra import run
    from flows.train_head import train_head as flow

    config = HeadFlowConfig(
        store=store or str(out / "store"),
        ref=ref,
        profile=profile,
        identity=identity,
        out=out / "heads" / identity,
        preset=preset,
        settings=_settings(train, "head"),
        score=score,
    )
    summary = run(flow, config)
    if as_json:
        typer.echo(json.dumps(summary, default=str))
        return
    for note in summary["notes"]:
        typer.echo(f"note: {note}")
    for name, value in summary["score"].items():
        typer.echo(f"{name:<22} {_short(value)}")
    typer.echo(f"head: {config.out}{_reused(summary)}")


@train_app.command("portrait")
def train_portrait(
    out: Out = OUT,
    store: StoreOfOut = None,
    ref: Ref = "main",
    profile: Made = None,
    identity: Annotated[
        list[str] | None,
        typer.Option("--identity", help="Learn from this person; may be given again."),
    ] = None,
    system: Annotated[
        PortraitSystem,
        typer.Option(
            "--system",
            help="Told coefficients, or (moee) told by experts: two stages, twice the time.",
        ),
    ] = "emodiffhead",
    preset: Annotated[Preset, typer.Option(help="Number of steps.")] = "paper",
    train: Setting = None,
    as_json: Json = False,
) -> None:
    """Train the video diffusion model of many people into OUT/portrait (MoEE's: OUT/portrait-moee).

    Run again it goes on, also with more steps or seconds; a model of other clips or settings is
    kept beside, under the time.

    Example: emohead train portrait --out out --preset demo --train portrait.network.size=96
    """
    from flows.config import PortraitFlowConfig
    from flows.orchestra import run
    from flows.systems import portrait_folder
    from flows.train_portrait import train_portrait as flow

    config = PortraitFlowConfig(
        store=store or str(out / "store"),
        ref=ref,
        profile=profile,
        system=system,
        identities=tuple(identity or ()),
        out=portrait_folder(out, system),
        preset=preset,
        settings=_settings(train, "portrait"),
    )
    summary = run(flow, config)
    if as_json:
        typer.echo(json.dumps(summary, default=str))
        return
    people, free = len(summary["identities"]), summary["clips"] - summary["labelled"]
    counted = f"{summary['clips']} clips of {people} people"
    if free:
        counted += f", {free} of them without an emotion"
    typer.echo(f"portrait: {config.out} ({counted}){_reused(summary)}")


def _reused(summary: dict[str, Any]) -> str:
    return ": there already, from these clips with these settings" if summary["reused"] else ""


def _short(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
