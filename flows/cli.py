"""The `emohead` command. Exit codes: 0 done, 1 a bug (traceback), 2 wrong usage, 3 nothing useful
could be done.

Heavy imports live inside the commands: `emohead --help` answers at once.
"""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.server import quiet_defaults

EXIT_NOTHING_DONE = 3

app = typer.Typer(
    name="emohead",
    help="Emotional talking heads: videos to a versioned feature cache, and heads trained from it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
store_app = typer.Typer(help="Look into a store and keep it in order.", no_args_is_help=True)
app.add_typer(store_app, name="store")

Out = Annotated[Path, typer.Option("--out", help="Folder of everything this job writes.")]
Workers = Annotated[
    int, typer.Option("--workers", min=1, max=256, help="Worker processes; one thread each.")
]
Size = Annotated[
    int, typer.Option("--size", min=64, max=1024, help="Side of the face crop, pixels.")
]
Identity = Annotated[str | None, typer.Option("--identity", help="Whose head speaks.")]
Audio = Annotated[Path | None, typer.Option("--audio", help="Speech; any file ffmpeg reads.")]
Emotion = Annotated[
    str | None, typer.Option("--emotion", help='Timeline, e.g. "happy@0-2, sad@3-5:0.8".')
]
Override = Annotated[
    list[str] | None,
    typer.Option("--set", help="Encoder setting, e.g. logmel.mels=64; may be given again."),
]
Setting = Annotated[
    list[str] | None,
    typer.Option(
        "--train",
        help="Training setting, e.g. network.steps=500 or head.seconds=60; may be given again.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def nested(pairs: list[str] | None) -> dict[str, dict[str, Any]]:
    """``["logmel.mels=64"]`` → ``{"logmel": {"mels": 64}}``.

    Raises:
        typer.BadParameter: a pair that is not GROUP.NAME=VALUE.
    """
    result: dict[str, dict[str, Any]] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        group, dot, name = key.partition(".")
        if not (equals and dot and group and name):
            raise typer.BadParameter(f"{pair!r} is not GROUP.NAME=VALUE, e.g. logmel.mels=64")
        result.setdefault(group, {})[name] = _value(value)
    return result


def _main_job(config: dict[str, Any], train: list[str] | None) -> None:
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
        )
    )
    typer.echo(f"video:  {summary['video']}\nreport: {summary['report']}")


@app.command()
def demo(
    out: Out = Path("demo-output"),
    data: Annotated[
        Path | None, typer.Option("--data", help="Your videos; without it, sample clips.")
    ] = None,
    identity: Identity = None,
    audio: Audio = None,
    emotion: Emotion = None,
    workers: Workers = 2,
    size: Size = 256,
    override: Override = None,
    train: Setting = None,
) -> None:
    """The main job on emohead's own sample clips: videos in, a talking head whose emotion changes
    out.

    Example: emohead demo --out demo-output
    """
    config = {"out": out, "data": data, "identity": identity, "audio": audio, "emotion": emotion}
    _main_job(config | {"workers": workers, "size": size, "overrides": nested(override)}, train)


@app.command()
def run(
    folder: Annotated[
        Path, typer.Argument(help="Folder of videos, searched with its sub-folders.")
    ],
    out: Out = Path("emohead-output"),
    corpus: Annotated[
        str, typer.Option(help="Naming scheme: auto, plain, mead, ravdess, ...")
    ] = "auto",
    identity: Identity = None,
    audio: Audio = None,
    emotion: Emotion = None,
    workers: Workers = 2,
    size: Size = 256,
    override: Override = None,
    train: Setting = None,
) -> None:
    """The main job on your own videos.

    Example: emohead run videos --out out --identity M030 --emotion "neutral@0-2, happy@3-6"
    """
    config = {"out": out, "data": folder, "corpus": corpus, "identity": identity, "audio": audio}
    extra = {"emotion": emotion, "workers": workers, "size": size, "overrides": nested(override)}
    _main_job(config | extra, train)


@app.command()
def samples(
    folder: Annotated[Path, typer.Argument(help="Where the clips go.")],
    size: Size = 256,
    workers: Workers = 2,
) -> None:
    """Render the sample clips with their known truth beside them.

    Example: emohead samples clips
    """
    from flows.sample_clips import render_samples_into

    paths = render_samples_into(folder, size=size, workers=workers)
    typer.echo(f"{len(paths)} clips in {folder}")


@app.command()
def plan(
    folder: Annotated[Path, typer.Argument(help="Folder of videos.")],
    store: Annotated[
        str, typer.Option(help="Folder or URL of the store.")
    ] = "emohead-output/store",
    corpus: Annotated[str, typer.Option(help="Naming scheme.")] = "auto",
    override: Override = None,
    as_json: Json = False,
) -> None:
    """What preprocessing would compute, and why; nothing is computed.

    Example: emohead plan videos --store out/store
    """
    from flows.config import PreprocessConfig
    from flows.planning import plan_preprocess, plan_text

    config = PreprocessConfig(data=folder, store=store, corpus=corpus, overrides=nested(override))
    scanned, cells, _ = plan_preprocess(config)
    if as_json:
        typer.echo(json.dumps([cell._asdict() for cell in cells.cells]))
    else:
        typer.echo(plan_text(scanned, cells))


@app.command()
def preprocess(
    folder: Annotated[Path, typer.Argument(help="Folder of videos.")],
    store: Annotated[
        str, typer.Option(help="Folder or URL of the store.")
    ] = "emohead-output/store",
    corpus: Annotated[str, typer.Option(help="Naming scheme.")] = "auto",
    workers: Workers = 2,
    size: Size = 256,
    override: Override = None,
    force: Annotated[list[str] | None, typer.Option(help="Feature to compute again.")] = None,
    as_json: Json = False,
) -> None:
    """Videos to valid cells; what is valid already is not computed again.

    Example: emohead preprocess videos --store out/store --workers 4
    """
    from flows.config import PreprocessConfig
    from flows.preprocess import preprocess as flow

    config = PreprocessConfig(
        data=folder,
        store=store,
        corpus=corpus,
        workers=workers,
        size=size,
        overrides=nested(override),
        force=tuple(force or ()),
    )
    summary = flow(config)
    typer.echo(json.dumps(summary, indent=2) if as_json else summary["text"])


@store_app.command("info")
def store_info(
    store: Annotated[str, typer.Argument(help="Folder or URL of the store.")],
    ref: Annotated[str, typer.Option(help="Branch, tag or snapshot id.")] = "main",
) -> None:
    """Datasets, clips, features and how many cells of each are valid.

    Example: emohead store info out/store
    """
    from flows.store_views import info_text

    typer.echo(info_text(store, ref))


@store_app.command("log")
def store_log(store: Annotated[str, typer.Argument(help="Folder or URL of the store.")]) -> None:
    """Snapshots, newest first, with what made them.

    Example: emohead store log out/store
    """
    from flows.store_views import log_text

    typer.echo(log_text(store))


@store_app.command("validate")
def store_validate(
    store: Annotated[str, typer.Argument(help="Folder or URL of the store.")],
    read_data: Annotated[bool, typer.Option(help="Hold every chunk against its schema.")] = False,
) -> None:
    """Hold the store against itself; exit code 3 when something is wrong.

    Example: emohead store validate out/store --read-data
    """
    from flows.store_views import validate_text

    text, sound = validate_text(store, read_data=read_data)
    typer.echo(text)
    if not sound:
        raise typer.Exit(EXIT_NOTHING_DONE)


def expected_errors() -> tuple[type[Exception], ...]:
    """Errors whose message is the whole answer: no traceback helps a user there."""
    from flows.errors import FlowError
    from models.errors import ModelError
    from pipeline.errors import PipelineError
    from render.errors import RenderError
    from store.errors import StoreError

    return (FlowError, ModelError, PipelineError, RenderError, StoreError)


def main() -> None:
    """Entry point of the `emohead` command."""
    quiet_defaults()
    # FloatingPoint chatter of MediaPipe's native code says nothing a user can act on.
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        app()
    except Exception as error:
        if isinstance(error, expected_errors()):
            sys.stderr.write(f"emohead: {error}\n")
            sys.exit(EXIT_NOTHING_DONE)
        raise


if __name__ == "__main__":
    main()
