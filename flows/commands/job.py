"""Commands of the whole job: demo, run, samples."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.options import (
    OUT,
    Audio,
    Corpus,
    Emotion,
    Identity,
    Json,
    Out,
    Override,
    Profile,
    Setting,
    Size,
    Videos,
    Workers,
    nested,
)

app = typer.Typer()


def _main_job(
    config: dict[str, Any], train: list[str] | None, as_json: bool, *, own_server: bool = False
) -> None:
    settings = nested(train)
    unknown = sorted(set(settings) - {"network", "head"})
    if unknown:
        raise typer.BadParameter(f"--train {unknown[0]}...: choose network.NAME or head.NAME")
    from flows.config import MainJobConfig
    from flows.main_job import run_main_job

    summary = run_main_job(
        MainJobConfig(
            **config,
            network_settings=settings.get("network", {}),
            head_settings=settings.get("head", {}),
        ),
        own_server=own_server,
    )
    if as_json:
        typer.echo(json.dumps(summary, default=str))
    else:
        typer.echo(f"video:  {summary['video']}\nreport: {summary['report']}")


@app.command()
def demo(
    out: Out = Path("demo-output"),
    data: Annotated[
        str | None, typer.Option("--data", help="Your videos; without it, sample clips.")
    ] = None,
    identity: Identity = None,
    audio: Audio = None,
    emotion: Emotion = None,
    profile: Profile = "embedded",
    workers: Workers = 2,
    size: Size = 256,
    override: Override = None,
    train: Setting = None,
    as_json: Json = False,
) -> None:
    """The main job on emohead's own sample clips: videos in, a talking head whose emotion changes
    out.

    Example: emohead demo --out demo-output
    """
    config = {"out": out, "data": data, "identity": identity, "audio": audio, "emotion": emotion}
    extra = {"profile": profile, "workers": workers, "size": size, "overrides": nested(override)}
    _main_job(config | extra, train, as_json, own_server=True)


@app.command()
def run(
    folder: Videos,
    out: Out = OUT,
    corpus: Corpus = "auto",
    identity: Identity = None,
    audio: Audio = None,
    emotion: Emotion = None,
    profile: Profile = "embedded",
    workers: Workers = 2,
    size: Size = 256,
    override: Override = None,
    train: Setting = None,
    as_json: Json = False,
) -> None:
    """The main job on your own videos.

    Example: emohead run videos --out out --identity M030 --emotion "neutral@0-2, happy@3-6"
    """
    config = {"out": out, "data": folder, "corpus": corpus, "identity": identity, "audio": audio}
    extra = {"emotion": emotion, "profile": profile, "workers": workers, "size": size}
    _main_job(config | extra | {"overrides": nested(override)}, train, as_json)


@app.command()
def samples(
    folder: Annotated[Path, typer.Argument(help="Where the clips go.")],
    size: Size = 256,
    workers: Workers = 2,
    as_json: Json = False,
) -> None:
    """Render the sample clips with their known truth beside them.

    Example: emohead samples clips
    """
    from flows.sample_clips import render_samples_into

    paths = render_samples_into(folder, size=size, workers=workers)
    clips = [str(path) for path in paths]
    typer.echo(json.dumps({"clips": clips}) if as_json else f"{len(paths)} clips in {folder}")
