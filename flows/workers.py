"""Worker processes: one thread each, encoders loaded once, arrays written into a fork of the store.

Processes are spawned, never forked: a forked child that shares the store's runtime hangs. What
comes back to the flow is the fork (references to chunks, no arrays) and one small record a clip.
"""

import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flows.planning import with_upstream
from pipeline.profiles import Profile, load_profile
from pipeline.source import ClipSource
from store import ClipWrite, Fork, Snapshot, write_clip

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}


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


@dataclass(frozen=True)
class ClipRecord:
    """What the flow learns of one processed clip."""

    clip_id: str
    name: str
    frames: int
    computed: tuple[str, ...]
    rejected: Mapping[str, str]
    seconds: Mapping[str, float]
    facts: Mapping[str, Any]


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Spawned processes with one compute thread each.

    Two threads per worker collapse under load.
    """
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@lru_cache(maxsize=4)
def _profile(name: str, size: int, overrides: str) -> Profile:
    return load_profile(name, size, **json.loads(overrides))


def compute(job: Job) -> tuple[Fork, list[ClipRecord]]:
    """Process the clips of a job one after another and write each into the fork."""
    from pipeline.process import process_clip

    profile = _profile(job.profile, job.size, json.dumps(dict(job.overrides), sort_keys=True))
    records = []
    for source in job.sources:
        wanted = list(job.fork.slots[source.clip_id].cells)
        result = process_clip(
            source, wanted, profile, _given(job, source, wanted, profile), size=job.size
        )
        write_clip(
            job.fork,
            ClipWrite(
                clip_id=source.clip_id,
                frames=result.frames,
                arrays=result.arrays,
                tokens=result.tokens,
                rejected=result.rejected,
                facts=result.facts,
            ),
        )
        records.append(
            ClipRecord(
                clip_id=source.clip_id,
                name=source.path.name,
                frames=result.frames,
                computed=tuple(result.arrays),
                rejected=result.rejected,
                seconds=result.seconds,
                facts=result.facts,
            )
        )
    return job.fork, records


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
