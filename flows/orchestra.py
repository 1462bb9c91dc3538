"""The parts of a flow, with Prefect around them or without.

Inside a flow run `call` and `each` make task runs and child flow runs that Prefect records; outside
one they call the same plain functions at once, so that a laptop waits for no server. What is
computed is the same either way.
"""

import logging
import os
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.context import FlowRunContext
from prefect.events import emit_event

from flows.errors import ServerAway
from flows.progress import Step, clock_text
from flows.telemetry.run_log import tell

PROGRESS_EVERY = 5.0
"""Seconds between two words about progress to the server."""

Wrapped = Any
"""A Prefect task or flow: called, it is recorded; `.fn` is the plain function in it.

Prefect's own types tell neither from its parameters, so there is nothing to check against.
"""


def recorded() -> bool:
    """Whether Prefect records what is under way."""
    return FlowRunContext.get() is not None


def call(work: Wrapped, *arguments: Any) -> Any:
    """Run a task or a flow as part of what is under way."""
    if recorded():
        return work(*arguments)
    tries = int(getattr(work, "retries", None) or 0)
    for _ in range(tries):
        try:
            return work.fn(*arguments)
        except OSError:  # the one kind of failure that tasks of emohead retry: the world was away
            time.sleep(float(getattr(work, "retry_delay_seconds", None) or 0))
    return work.fn(*arguments)


def each(
    work: Any, arguments: Iterable[Sequence[Any]], in_flight: int
) -> Iterator[tuple[int, Any]]:
    """Results of a task over many arguments, at most `in_flight` at a time: as they come, each with
    the place of its arguments, so that a slow one holds up nobody.

    Arguments are taken only when there is room for them: a million clips do not queue at once.
    """
    if recorded():
        yield from _window(lambda given: work.submit(*given), arguments, in_flight)
        return
    threads = ThreadPoolExecutor(in_flight, thread_name_prefix="batch")
    try:
        yield from _window(lambda given: threads.submit(work.fn, *given), arguments, in_flight)
    finally:
        # After Ctrl-C what is under way must not be waited for: whoever works it ends it.
        threads.shutdown(wait=False, cancel_futures=True)


def _window(
    submit: Callable[[Sequence[Any]], Any], arguments: Iterable[Sequence[Any]], in_flight: int
) -> Iterator[tuple[int, Any]]:
    waiting: dict[int, Any] = {}
    done: SimpleQueue[int] = SimpleQueue()

    def one() -> tuple[int, Any]:
        place = done.get()
        return place, waiting.pop(place).result()

    for place, given in enumerate(arguments):
        waiting[place] = submit(given)
        waiting[place].add_done_callback(lambda _, place=place: done.put(place))
        if len(waiting) >= in_flight:
            yield one()
    while waiting:
        yield one()


def note_table(key: str, table: list[dict[str, Any]]) -> None:
    """Keep a table with the flow run, where there is one."""
    if recorded():
        create_table_artifact(key=key, table=table)


def note_text(key: str, markdown: str, description: str = "") -> None:
    """Keep a text with the flow run, where there is one."""
    if recorded():
        create_markdown_artifact(key=key, markdown=markdown, description=description)


def note_page(key: str, page: Path, description: str = "") -> None:
    """Keep a link to a page with the flow run, where there is one; it opens on this machine."""
    if recorded():
        link = page.absolute().as_uri()
        create_link_artifact(link, link_text=page.name, key=key, description=description)


@contextmanager
def progress_noted(key: str, bar: Step) -> Iterator[None]:
    """Keep a step's progress with the flow run, where there is one.

    A server that goes away meanwhile costs the progress, not the work: the run goes on to its
    next commit, and meets the server again at its end.
    """
    if not (recorded() and bar.total):
        yield
        return
    total, told = bar.total, time.monotonic()
    # Prefect's type tells its asynchronous use, too.
    artifact = cast(UUID, create_progress_artifact(0.0, key=key, description=bar.name))

    def note(now: Step) -> None:
        nonlocal told
        if time.monotonic() - told < PROGRESS_EVERY and now.done < total:
            return
        told, eta = time.monotonic(), now.eta()
        words = f"{now.name}: {now.done} of {total} {now.unit}"
        words += f", {clock_text(eta)} left" if eta else ""
        try:
            update_progress_artifact(artifact, 100 * now.done / total, description=words)
        except Exception as error:
            if not _of_the_server(error):
                raise
            bar.watchers.remove(note)
            tell("progress not noted", level=logging.WARNING, reason=str(error))

    bar.watchers.append(note)
    try:
        yield
    finally:
        if note in bar.watchers:
            bar.watchers.remove(note)


def note_event(event: str, resource: str, payload: dict[str, Any]) -> None:
    """Tell the server's automations, where there is a server."""
    if recorded():
        emit_event(event, {"prefect.resource.id": resource}, payload=payload)


def server() -> str | None:
    """Address of the user's Prefect server; None where none is set up."""
    if os.environ.get("PREFECT_API_URL"):
        return os.environ["PREFECT_API_URL"]
    from prefect.settings import PREFECT_API_URL

    return PREFECT_API_URL.value()


def why_away(url: str) -> str | None:
    """Why the server does not answer; None if it does."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=5):
            return None
    except OSError as error:
        return str(error)


def run(flow: Wrapped, *arguments: Any) -> Any:
    """A flow from the command line: recorded by the user's server, or here and at once.

    Raises:
        ServerAway: a server is set up and does not answer, or went away during the run.
    """
    url = server()
    if not url:
        return call(flow, *arguments)
    if reason := why_away(url):
        raise ServerAway(
            f"the Prefect server {url} does not answer ({reason}): start it (`prefect server "
            "start`), or unset PREFECT_API_URL to run here without one"
        )
    try:
        return flow(*arguments)
    except Exception as error:
        if not _of_the_server(error) or not (reason := why_away(url)):
            raise
        raise ServerAway(
            f"the Prefect server {url} went away during the run ({reason}); what was committed "
            "stays. Start it and run again: only what is missing is computed"
        ) from error


def _of_the_server(error: BaseException | None) -> bool:
    """Whether an error comes from talking to the server."""
    while error is not None:
        if type(error).__module__.partition(".")[0] in ("httpx", "httpcore", "prefect"):
            return True
        error = error.__cause__ or error.__context__
    return False
