"""One run at a time changes a store: a second one waits its turn, or is refused with the reason.

Commits are safe without this (the store's own lock, conditional writes on S3); it keeps two updates
from computing the same clips twice and from both choosing the name of the next release. Runs of one
host wait for each other at a lock file; runs that a Prefect server records, on whatever host, at a
global concurrency limit of that server. Two hosts without a server do not see each other: both
compute, the store keeps what came first and drops the double.
"""

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from filelock import FileLock, Timeout

from flows.errors import StoreBusy
from flows.orchestra import recorded
from flows.progress import step
from store.location import normalise

_MINE: ContextVar[frozenset[str]] = ContextVar("stores", default=frozenset())
"""Stores whose turn the flow under way has: a flow within it need not wait for itself."""

LEASE_SECONDS = 300
"""After this long the server gives the turn of a run that died to the next."""


@contextmanager
def turn(location: str, wait_seconds: float) -> Iterator[None]:
    """Have the store to oneself, as far as other runs of emohead go.

    Raises:
        StoreBusy: another run has it, and did not end within `wait_seconds`.
    """
    where = normalise(location)
    if where in _MINE.get():
        yield
        return
    with ExitStack() as held:
        if recorded():
            held.enter_context(_server_turn(where, wait_seconds))
        held.enter_context(_host_turn(where, wait_seconds))
        token = _MINE.set(_MINE.get() | {where})
        try:
            yield
        finally:
            _MINE.reset(token)


def lock_file(where: str) -> Path:
    """Where runs of this host wait: beside the store it would be taken for a part of it."""
    key = hashlib.sha256(where.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"emohead-run-{os.getuid()}-{key}.lock"


def limit_name(where: str) -> str:
    """Name of the server's concurrency limit of a store."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", where).strip("-")[-60:]
    return f"emohead-store-{readable}-{hashlib.sha256(where.encode()).hexdigest()[:8]}"


@contextmanager
def _host_turn(where: str, wait_seconds: float) -> Iterator[None]:
    path = lock_file(where)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _wait(lock, where, wait_seconds)
    told = path.with_suffix(".json")
    try:
        told.write_text(json.dumps({"pid": os.getpid(), "since": time.strftime("%H:%M:%S")}))
        yield
    finally:
        told.unlink(missing_ok=True)
        lock.release()  # the operating system does, if this process is killed


def _wait(lock: FileLock, where: str, wait_seconds: float) -> None:
    who = _holder(Path(lock.lock_file).with_suffix(".json"))
    try:
        with step(f"wait for {who}"):
            lock.acquire(timeout=wait_seconds, poll_interval=0.2)
    except Timeout as error:
        raise StoreBusy(
            f"{where}: {who} works on this store and did not end within {wait_seconds:g} s. Let it "
            "end, or end it; what it has committed stays, and then run again"
        ) from error


def _holder(told: Path) -> str:
    try:
        facts = json.loads(told.read_text())
    except (OSError, ValueError):  # it has just ended, or just begun
        return "another run"
    return f"process {facts['pid']} (since {facts['since']})"


@contextmanager
def _server_turn(where: str, wait_seconds: float) -> Iterator[None]:
    from prefect.client.orchestration import get_client
    from prefect.concurrency.sync import concurrency
    from prefect.exceptions import ObjectAlreadyExists

    name = limit_name(where)
    # Another run may make it at this very moment.
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.upsert_global_concurrency_limit_by_name(name, limit=1)
    with ExitStack() as held:
        try:
            held.enter_context(
                concurrency(name, timeout_seconds=wait_seconds, lease_duration=LEASE_SECONDS)
            )
        except TimeoutError as error:
            raise StoreBusy(
                f"{where}: another run holds the server's limit {name} and did not end within "
                f"{wait_seconds:g} s (a run that was killed holds it {LEASE_SECONDS} s longer). "
                f"`prefect gcl inspect {name}` shows it"
            ) from error
        yield
