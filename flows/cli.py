"""The `emohead` command. Exit codes: 0 done, 1 a bug (traceback), 2 wrong usage, 3 nothing useful
could be done.

Heavy imports live inside the commands: `emohead --help` answers at once.
"""

import logging
import os
import sys
import traceback
from typing import Annotated

import typer

from flows.commands import (
    ablate,
    cache,
    care,
    export,
    inspect,
    job,
    judge,
    preferences,
    report,
    store,
    studio,
    synthesize,
    train,
    weights,
)
from flows.commands.options import EXIT_BUG, EXIT_NOTHING_DONE, EXIT_WRONG_USAGE
from flows.ending import leave
from flows.expected import expected_errors
from flows.server import quiet_defaults

app = typer.Typer(
    name="emohead",
    help="Emotional talking heads: videos to a versioned feature cache, and heads trained from it."
    "\n\nExit codes: 0 done, 1 a bug (traceback), 2 wrong usage, 3 refused, or nothing useful done."
    "\n\nExample: emohead demo --out demo-output",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
# A typer added without a name puts its commands beside the others, in this order.
app.add_typer(job.app)
app.add_typer(cache.app)
app.add_typer(train.app)
app.add_typer(judge.app)
app.add_typer(synthesize.app)
app.add_typer(export.app)
app.add_typer(care.app)
app.add_typer(ablate.app)
app.add_typer(inspect.app)
app.add_typer(studio.app)
app.add_typer(store.app, name="store")
app.add_typer(weights.app, name="weights")
app.add_typer(report.app, name="report")
app.add_typer(preferences.app, name="preferences")


LogJson = Annotated[
    str | None,
    typer.Option(
        "--log-json",
        envvar="EMOHEAD_LOG_JSON",
        metavar="FILE",
        help="Append what happens to FILE, one JSON object a line; - is standard error.",
    ),
]
MetricsAt = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        envvar="EMOHEAD_METRICS",
        metavar="FILE|HOST:PORT",
        help="Prometheus metrics of preprocessing: a .prom file, or an address to serve them at.",
    ),
]


@app.callback()
def begin(log_json: LogJson = None, metrics: MetricsAt = None) -> None:
    """What holds for every command."""
    if log_json:
        from flows.progress import silence
        from flows.telemetry.run_log import log_to

        log_to(log_json)
        if log_json == "-":
            silence()
    if metrics:
        from flows.telemetry.metrics import measure_for

        measure_for(metrics)


def refusals(error: Exception) -> list[str]:
    """What is wrong with a flow's parameters, a line each; empty if that is not the error."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return []
    return [
        f"{'.'.join(map(str, detail['loc']))} = {detail['input']!r}: {detail['msg']}"
        for detail in error.errors()
    ]


def main() -> None:
    """Entry point of the `emohead` command."""
    quiet_defaults()
    # FloatingPoint chatter of MediaPipe's native code says nothing a user can act on.
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    leave(_run())


def _run() -> int:
    """Run the command; its exit code."""
    try:
        app()
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        if told := refusals(error):
            sys.stderr.write("".join(f"emohead: {line}\n" for line in told))
            return EXIT_WRONG_USAGE
        if isinstance(error, expected_errors()):
            tell_failure(error)
            sys.stderr.write(f"emohead: {error}\n")
            return EXIT_NOTHING_DONE
        tell_failure(error)
        traceback.print_exc()
        return EXIT_BUG
    return 0


def tell_failure(error: Exception) -> None:
    """The last line of the structured log of a command that failed, where one is written.

    Elsewhere the command itself says why, once.
    """
    from flows.telemetry.run_log import logs, tell

    if logs():
        tell("failed", level=logging.ERROR, reason=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
