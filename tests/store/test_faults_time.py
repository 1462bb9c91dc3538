"""Clocks that go back, readers while garbage is collected, and secrets."""

import datetime
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fault_kit import HERE, OLD, SOME, ingest

import store

READER = """
import sys
sys.path.insert(0, sys.argv[3])
import store
from fault_kit import everything
import hashlib
cache = store.Cache.open(sys.argv[1])
snapshot = cache.snapshot(sys.argv[2])
def digest(snapshot):
    return hashlib.sha256(repr(sorted(everything(snapshot).items())).encode()).hexdigest()
first = digest(snapshot)
print("reading", flush=True)
rounds = 0
import select
while not select.select([sys.stdin], [], [], 0)[0]:
    again = store.Cache.open(sys.argv[1]).snapshot(snapshot.id) if rounds % 2 else snapshot
    assert digest(again) == first
    rounds += 1
print(rounds, flush=True)
"""


@pytest.mark.slow
def test_readers_of_kept_snapshots_are_unharmed_while_garbage_is_collected(
    cache: store.Cache,
) -> None:
    ingest(cache, OLD)
    cache.tag("v1")
    ingest(cache, OLD, 2)
    pinned = cache.snapshot("v1").id
    readers = []
    for ref in ("v1", "main"):
        command = [sys.executable, "-c", READER, cache.location, cache.snapshot(ref).id, str(HERE)]
        readers.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
    deleted = 0
    for version in range(3, 7):
        ingest(cache, OLD, version)
        if version == 3:
            cache.tag("kept", cache.log()[1].id)  # what the reader of `main` holds
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=5)
        deleted += cache._collect(later, expire=True)["chunks_deleted"]
    for reader in readers:
        out, _ = reader.communicate("stop\n", timeout=60)
        assert reader.returncode == 0
        assert int(out) >= 1
    assert deleted > 0
    assert cache.snapshot("v1").id == pinned
    assert cache.validate("v1", read_data=True).ok
    assert cache.validate(read_data=True).ok


COMMIT = """
import sys
sys.path.insert(0, sys.argv[2])
import datetime
import store
from fault_kit import ingest
cache = store.Cache.open(sys.argv[1])
try:
    ingest(cache, {"a": 5}, int(sys.argv[3]))
except store.StoreError as error:
    print("refused", error)
else:
    newest = cache.log()[0]
    print("written", newest.written_at.year, newest.id)
"""
"""One commit, in a process whose clock libfaketime sets."""


def faketime() -> str:
    """The library that fakes clocks; skips where there is none."""
    given = os.environ.get("EMOHEAD_LIBFAKETIME", "")
    for name in (given, "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"):
        if name and Path(name).exists():
            return name
    pytest.skip("libfaketime is not here; name its library in EMOHEAD_LIBFAKETIME")


def commit_at(cache: store.Cache, shift: str, version: int) -> str:
    environment = {**os.environ, "LD_PRELOAD": faketime(), "FAKETIME": shift}
    command = [sys.executable, "-c", COMMIT, cache.location, str(HERE), str(version)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_clock_that_is_wrong_is_refused_and_nothing_is_lost(cache: store.Cache) -> None:
    """The clock of a whole process, icechunk's included, set by libfaketime."""
    ingest(cache, {"a": 5})
    before = cache.snapshot().id
    behind = commit_at(cache, "-2d", 2)
    assert behind.startswith("refused")
    assert f"its newest snapshot {before} was written at" in behind
    ahead = commit_at(cache, "+2d", 2)
    assert "refused" in ahead  # icechunk logs its own word first
    assert "clock and the store's differ too much" in ahead
    cache = store.Cache.open(cache.location)
    assert cache.snapshot().id == before
    assert cache.validate(read_data=True).ok
    assert commit_at(cache, "+0", 2).startswith("written")


def test_a_clock_that_is_a_little_behind_is_waited_for(
    cache: store.Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(cache, OLD)
    newest = cache.log()[0].written_at

    class Behind(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return newest - datetime.timedelta(seconds=behind)

    monkeypatch.setattr("store.location.datetime.datetime", Behind)
    waits: list[float] = []
    monkeypatch.setattr("store.location.time.sleep", waits.append)
    behind = 2
    ingest(cache, SOME, 2)
    assert waits
    assert all(2 <= wait < 2.1 for wait in waits)
    behind = 3600
    with pytest.raises(store.StoreError, match="Set the clock"):
        ingest(cache, SOME, 3)


def test_gc_refuses_times_of_a_clock_that_runs_ahead(cache: store.Cache) -> None:
    ingest(cache, OLD)
    ahead = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    with pytest.raises(store.StoreError, match="give a time before"):
        cache.gc(ahead)
