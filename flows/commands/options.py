"""Options that several commands share, and how their values are read."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows import names

if TYPE_CHECKING:
    from flows.store_views import View

EXIT_BUG = 1
EXIT_WRONG_USAGE = 2
EXIT_NOTHING_DONE = 3

OUT = Path("emohead-output")
"""Folder of a job where --out names none."""
Out = Annotated[Path, typer.Option("--out", help="Folder of everything this job writes.")]
Videos = Annotated[
    str,
    typer.Argument(
        help="Folder of videos, searched with its sub-folders; s3://bucket/folder; or a list of "
        "URLs, one a line: a local .txt file or https://…"
    ),
]
Cache = Annotated[str, typer.Option("--store", help="Folder or URL of the store.")]
Corpus = Annotated[
    str, typer.Option("--corpus", help="Naming scheme: auto, plain, mead, ravdess, ...")
]
Workers = Annotated[
    int, typer.Option("--workers", min=1, max=256, help="Worker processes; one thread each.")
]
Profile = Annotated[
    str, typer.Option("--profile", help="Encoders: embedded, paper, embedded+ddfa, paper-bisenet.")
]
Made = Annotated[
    str | None,
    typer.Option(
        "--profile", help="Whose features to read; without it, the profile that made the store."
    ),
]
Size = Annotated[
    int, typer.Option("--size", min=64, max=1024, help="Side of the face crop, pixels.")
]
System = Annotated[
    names.System,
    typer.Option("--system", help="Whose network: hyperplanes, emotion experts, LSTM generator."),
]
Systems = StrEnum("Systems", list(names.SYSTEMS))
"""The same for an option that may be given again: typer takes no list of literals."""
Identity = Annotated[str | None, typer.Option("--identity", help="Whose head speaks.")]
Audio = Annotated[Path | None, typer.Option("--audio", help="Speech; any file ffmpeg reads.")]
Emotion = Annotated[
    str | None, typer.Option("--emotion", help='Timeline, e.g. "happy@0-2, sad@3-5:0.8".')
]
Override = Annotated[
    list[str] | None,
    typer.Option("--set", help="Encoder setting, e.g. logmel.mels=64; may be given again."),
]
PlaneSetting = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="How planes are fitted, e.g. hyperplanes.groups=7, hyperplanes.balance=weigh; may be "
        "given again.",
    ),
]
Setting = Annotated[
    list[str] | None,
    typer.Option(
        "--train",
        help="Training setting, e.g. network.steps=500 or head.seconds=60; may be given again.",
    ),
]
Store = Annotated[str, typer.Argument(help="Folder or URL of the store.")]
StoreOfOut = Annotated[str | None, typer.Option("--store", help="Store; default: OUT/store.")]
Dataset = Annotated[str, typer.Option("--dataset", help="Group of the store.")]
Ref = Annotated[str, typer.Option("--ref", help="Branch, release or snapshot id.")]
Report = Annotated[
    Path | None,
    typer.Option("--report", help="Write the quality page of the dataset there afterwards."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def show(view: "View", as_json: bool) -> None:
    """Print an answer; exit code 3 if what was looked at is not as it should be."""
    text = json.dumps(view.data, indent=2, default=str, ensure_ascii=False)
    typer.echo(text if as_json else view.text)
    if not view.good:
        raise typer.Exit(EXIT_NOTHING_DONE)


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


def grouped(pairs: list[str] | None, group: str, option: str) -> dict[str, Any]:
    """Settings of the one group that a command knows.

    Raises:
        typer.BadParameter: a pair that is not GROUP.NAME=VALUE, or of another group.
    """
    settings = nested(pairs)
    if unknown := sorted(set(settings) - {group}):
        raise typer.BadParameter(f"{option} {unknown[0]}...: this command knows {group}.NAME")
    return settings.get(group, {})
