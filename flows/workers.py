"""What a worker process does: one thread, encoders loaded once, arrays written into a fork of the
store.

What comes back to the flow is the fork (references to chunks, no arrays) and one small record a
clip.
"""

import faulthandler
import json
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from multiprocessing.connection import wait
from threading import Thread
from typing import TYPE_CHECKING, Any

import psutil

from flows.planning import BUG, with_upstream
from pipeline.clock import FPS
from pipeline.profiles import Profile, load_profile
from pipeline.scratch import at_hand, drop
from pipeline.source import ClipSource
from store import ClipWrite, Fork, Snapshot, write_clip
from store.location import is_local

if TYPE_CHECKING:
    from pipeline.process import ClipResult

AWAY = "out of reach: "
"""How a reason begins that may be gone at the next run: such a cell stays absent."""

LONGEST_CLIP = 60
"""Seconds; what is longer is cut by the scan. Of a clip for which no frames were reserved."""


@dataclass(frozen=True)
class Job:
    """What one call of a worker computes."""

    fork: Fork
    dataset: str
    sources: tuple[ClipSource, ...]
    before: Snapshot | None
    """Where upstream features that are valid already are read from."""
    profile: str
    overrides: Mapping[str, Any]
    size: int
    limit: tuple[float, float] = (300.0, 4.0)
    """Seconds a clip may take: this many, and this many more for each of its frames."""


@dataclass(frozen=True)
class ClipRecord:
    """What the flow learns of one processed clip."""

    clip_id: str
    name: str
    frames: int
    computed: tuple[str, ...]
    rejected: Mapping[str, str]
    seconds: Mapping[str, float]
    """By stage, `store` (writing the arrays) included; one thread each, so core seconds, too."""
    facts: Mapping[str, Any]
    array_bytes: int = 0
    """Of the arrays, as they are in memory."""
    stored_bytes: int | None = 0
    """Written to a local store; None on object storage, where nobody counts them."""


@dataclass(frozen=True)
class Answer:
    """What comes back of a job."""

    fork: Fork | None = None
    records: list[ClipRecord] = field(default_factory=list)
    lost: str = ""
    """How the worker ended, if it did; then there is neither fork nor record."""


def begin_worker() -> None:
    """Live and die with the flow's process, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A flow killed by SIGKILL cannot end its workers: they watch it.
        Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def limit_of(job: Job, source: ClipSource) -> float:
    """Seconds after which a clip counts as hanging; its frames are those reserved for it."""
    base, per_frame = job.limit
    slot = job.fork.slots[source.clip_id]
    return base + per_frame * (slot.extent.frames if slot.extent else FPS * LONGEST_CLIP)


@lru_cache(maxsize=4)
def _profile(name: str, size: int, overrides: str) -> Profile:
    return load_profile(name, size, **json.loads(overrides))


def compute(job: Job) -> Answer:
    """Process the clips of a job one after another and write each into the fork."""
    profile = _profile(job.profile, job.size, json.dumps(dict(job.overrides), sort_keys=True))
    records = []
    for source in job.sources:
        # A decoder that hangs in native code hears no signal; this timer ends the process.
        faulthandler.dump_traceback_later(limit_of(job, source), exit=True, file=2)
        try:
            records.append(_clip(job, source, profile))
        finally:
            faulthandler.cancel_dump_traceback_later()
    drop()  # the copy of a remote file: the next job is of others
    return Answer(job.fork, records)


def _clip(job: Job, source: ClipSource, profile: Profile) -> ClipRecord:
    from pipeline.process import process_clip

    slot = job.fork.slots[source.clip_id]
    wanted = list(slot.cells)
    try:
        given = _given(job, source, wanted, profile)
        known = _known_facts(job, source)
        began = time.perf_counter()
        with at_hand(source) as here:
            brought = time.perf_counter() - began
            result = process_clip(here, wanted, profile, given, size=job.size, known=known)
        if source.remote:
            result.seconds["download"] = brought
    except OSError as error:
        # The file was out of reach: nothing is written, so that the next run plans it again.
        return _record(source, _unusable(source, wanted, f"{AWAY}{error}"))
    except Exception as error:
        # One clip that meets a bug must not stop the thousands beside it. It is said, not hidden.
        result = _unusable(source, wanted, f"{BUG}{type(error).__name__}: {error}")
        result.facts["traceback"] = traceback.format_exc()
    reserved = slot.extent.frames if slot.extent is not None else 0
    if result.frames > reserved:
        reason = f"{result.frames} frames came out where its packets promised {reserved}"
        result = _unusable(source, wanted, reason)
    write = ClipWrite(
        clip_id=source.clip_id,
        frames=result.frames,
        arrays=result.arrays,
        tokens=result.tokens,
        rejected=result.rejected,
        facts=result.facts,
    )
    stored = write_measured(job.fork, write, result.seconds)
    return replace(
        _record(source, result),
        array_bytes=sum(array.nbytes for array in (*write.arrays.values(), *write.tokens.values())),
        stored_bytes=stored,
    )


def write_measured(fork: Fork, write: ClipWrite, seconds: dict[str, float]) -> int | None:
    """Write a clip; its seconds go to stage `store`, its bytes are returned (None: not counted)."""
    began, before = time.perf_counter(), _written()
    write_clip(fork, write)
    seconds["store"] = time.perf_counter() - began
    after = _written() if is_local(fork.location) else None
    return None if before is None or after is None else after - before


def _written() -> int | None:
    """Bytes that this process has written to files so far; None where the system does not say."""
    counters = getattr(psutil.Process(), "io_counters", None)
    return None if counters is None else int(counters().write_chars)


def _unusable(source: ClipSource, wanted: list[str], reason: str) -> "ClipResult":
    from pipeline.process import ClipResult

    return ClipResult(source.clip_id, rejected=dict.fromkeys(wanted, reason))


def _record(source: ClipSource, result: "ClipResult") -> ClipRecord:
    return ClipRecord(
        clip_id=source.clip_id,
        name=source.path.name,
        frames=result.frames,
        computed=tuple(result.arrays),
        rejected=result.rejected,
        seconds=result.seconds,
        facts=result.facts,
    )


def _given(job: Job, source: ClipSource, wanted: list[str], profile: Profile) -> dict[str, Any]:
    """Upstream features that need not be computed again, from the store."""
    if job.before is None or not job.before.has_dataset(job.dataset):
        return {}
    known = job.before.table(job.dataset).row_of
    if source.clip_id not in known:
        return {}
    return {
        name: job.before.read(job.dataset, name, source.clip_id)
        for name in with_upstream(profile, tuple(wanted))
        if name not in wanted
        and name in job.before.features(job.dataset)
        and job.before.state(job.dataset, source.clip_id, name) == "valid"
    }


def _known_facts(job: Job, source: ClipSource) -> dict[str, Any]:
    """What earlier runs recorded of the same content."""
    if job.before is None or not job.before.has_dataset(job.dataset):
        return {}
    table = job.before.table(job.dataset)
    row = table.row_of.get(source.clip_id)
    if row is None or table.value("content", row) != source.content:
        return {}
    return json.loads(str(table.value("facts", row)) or "{}")
