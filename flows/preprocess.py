"""Flow `preprocess`: raw videos to valid cells, what is valid already left alone.

Scan → plan → batches on worker processes → one commit. Killed at any moment, the store keeps its
last snapshot and the next run plans what is missing.
"""

import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, cast

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from flows.config import PreprocessConfig
from flows.errors import NothingToDo, WorkerDied
from flows.planning import clip_row, feature_schemas, newest, plan_preprocess, plan_text
from flows.progress import Step, step
from flows.workers import ClipRecord, Job, compute, worker_pool
from pipeline.clock import FPS
from pipeline.errors import MediaError
from pipeline.media import duration, probe
from pipeline.profiles import Profile
from pipeline.scan import ScanResult
from pipeline.source import ClipSource
from store import Cache, FeatureSchema, Fork, Plan, Snapshot

BATCHES_IN_FLIGHT = 32
"""Tasks handed to Prefect at a time; the rest waits, so that 100,000 clips do not queue at once."""


@dataclass
class Bench:
    """Where batches are worked: the processes, and the progress line they move."""

    pool: ProcessPoolExecutor
    bar: Step
    records: list[ClipRecord] = field(default_factory=list)

    def work(self, job: Job) -> tuple[Fork, list[ClipRecord]]:
        """Run a job on a worker process and count its clips."""
        try:
            fork, records = self.pool.submit(compute, job).result()
        except BrokenProcessPool as error:
            names = ", ".join(source.path.name for source in job.sources)
            raise WorkerDied(
                f"a worker died while these clips were under way: {names}. What was "
                "committed before is safe; leave the clip out, or give more memory, and run again"
            ) from error
        self.bar.advance(len(records), note=records[-1].name)
        return fork, records


def worth_a_retry(task: Any, run: Any, state: State[Any]) -> bool:
    """A share that was away may come back; a folder that is empty stays empty."""
    return isinstance(state.result(raise_on_failure=False), OSError)


@task(
    name="scan and plan",
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=worth_a_retry,
    cache_policy=NO_CACHE,
)
def scan_and_plan(config: PreprocessConfig) -> tuple[ScanResult, Plan, Profile]:
    """Look at the folder and at the store; tried again, because both may be on a network."""
    return plan_preprocess(config)


@task(name="process batch", cache_policy=NO_CACHE, persist_result=False)
def process_batch(bench: Bench, job: Job) -> tuple[Fork, list[ClipRecord]]:
    """Clips of one batch to arrays in the store. Pure work: a retry would give the same."""
    return bench.work(job)


def expected_frames(source: ClipSource) -> int:
    """Frames to reserve for a clip: what its packets promise, and one more for rounding."""
    try:
        whole = duration(probe(source.path))
    except MediaError:
        return 0
    end = whole if source.end is None else min(source.end, whole)
    return max(0, -int(-(end - (source.start or 0)) * FPS // 1)) + 1


@flow(
    name="preprocess",
    flow_run_name="preprocess {config.data}",
    persist_result=False,
    # Prefect types the parameter for another kind of future than its own runner returns.
    task_runner=cast(Any, ThreadPoolTaskRunner(max_workers=BATCHES_IN_FLIGHT)),
)
def preprocess(config: PreprocessConfig) -> dict[str, Any]:
    """Bring a dataset of the store up to date with a folder of videos.

    Returns:
        Counts and reasons: planned, computed and rejected cells, refused files, the snapshot id.

    Raises:
        InputError: the folder is not there or holds no video.
        NothingToDo: not one clip could be used, now or before.
    """
    began = time.monotonic()
    cache = Cache.open(config.store, create=True)
    with step("scan and plan"):
        scanned, plan, profile = scan_and_plan(config)
    text = plan_text(scanned, plan)
    create_markdown_artifact(key="plan", markdown=f"```\n{text}\n```", description="What and why")
    records: list[ClipRecord] = []
    snapshot = cache.snapshot().id
    if plan.cells or (config.prune and plan.removed):
        records, snapshot = compute_plan(config, cache, scanned, plan, profile)
    summary = summarise(scanned, plan, records, snapshot, time.monotonic() - began)
    if summary["rejections"]:
        create_table_artifact(key="rejections", table=summary["rejections"])
    after = cache.snapshot(snapshot)
    if not has_valid_cell(after, config.dataset, [source.clip_id for source in scanned.clips]):
        raise NothingToDo(
            f"none of the {len(scanned.clips)} clips in {config.data} could be used:\n"
            + "\n".join(f"  {r['clip']}: {r['reason']}" for r in summary["rejections"])
        )
    return summary


def compute_plan(
    config: PreprocessConfig, cache: Cache, scanned: ScanResult, plan: Plan, profile: Profile
) -> tuple[list[ClipRecord], str]:
    """Work off the plan in one write session; returns a record a clip and the new snapshot."""
    sources = {source.clip_id: source for source in scanned.clips}
    before = newest(config.store)
    schemas = feature_schemas(profile)
    metadata = {
        "run_id": str(uuid.uuid4()),
        "plan_hash": plan.hash,
        "profile": config.profile,
        "flow": "preprocess",
    }
    message = f"preprocess: {len(plan.cells)} cells of {len(plan.by_clip)} clips"
    records: list[ClipRecord] = []
    replaced = reshaped(before, config.dataset, schemas)
    with cache.write(config.dataset, schemas, message, metadata, replaced) as session:
        rows = [
            clip_row(sources[clip_id], expected_frames(sources[clip_id]), cells)
            for clip_id, cells in plan.by_clip.items()
        ]
        batches = session.allocate(rows, max_clips=batch_size(config, len(rows)))
        with (
            step("preprocess clips", total=len(rows), unit="clips") as bar,
            worker_pool(min(config.workers, len(batches))) as pool,
        ):
            bench = Bench(pool, bar)
            jobs = [
                Job(
                    fork=session.fork(batch),
                    dataset=config.dataset,
                    sources=tuple(sources[clip_id] for clip_id in batch.clip_ids),
                    before=before,
                    profile=config.profile,
                    overrides=config.overrides,
                    size=config.size,
                )
                for batch in batches
            ]
            for first in range(0, len(jobs), BATCHES_IN_FLIGHT):
                several = jobs[first : first + BATCHES_IN_FLIGHT]
                futures = [process_batch.submit(bench, job) for job in several]
                for future in futures:
                    fork, done = future.result()
                    session.merge(fork)
                    records += done
        if config.prune and plan.removed:
            session.remove_clips(plan.removed)
    return records, session.snapshot_id or cache.snapshot().id


def reshaped(
    before: Snapshot | None, dataset: str, schemas: Mapping[str, FeatureSchema]
) -> list[str]:
    """Features whose frames have another form than the stored ones: their arrays begin anew."""
    if before is None or not before.has_dataset(dataset):
        return []
    stored = before.features(dataset)
    return [n for n, schema in schemas.items() if n in stored and not stored[n].same_form(schema)]


def has_valid_cell(snapshot: Snapshot, dataset: str, clip_ids: Sequence[str]) -> bool:
    """Whether anything of these clips can be used."""
    if not snapshot.has_dataset(dataset):
        return False
    cells = snapshot.cells(dataset)
    known = [clip_id for clip_id in clip_ids if clip_id in cells.index]
    return any(value != "" for row in cells.loc[known].to_numpy() for value in row)


def batch_size(config: PreprocessConfig, clips: int) -> int:
    """Clips of a task: never so many that a worker idles while another has several left."""
    return max(1, min(config.clips_per_task, clips // (2 * config.workers)))


def summarise(
    scanned: ScanResult, plan: Plan, records: list[ClipRecord], snapshot: str, seconds: float
) -> dict[str, Any]:
    """The run in numbers and in words, JSON-able."""
    rejections = [
        {"clip": path.name, "feature": "all", "reason": why} for path, why in scanned.rejected
    ]
    for record in records:
        whole = Counter(record.rejected.values())
        for reason, count in whole.items():
            names = [name for name, why in record.rejected.items() if why == reason]
            everything = count == len(record.rejected) and not record.computed
            feature = "all" if everything else ", ".join(names)
            rejections.append({"clip": record.name, "feature": feature, "reason": reason})
    stages: Counter[str] = Counter()
    for record in records:
        stages.update(record.seconds)
    computed = sum(len(record.computed) for record in records)
    frames = sum(record.frames for record in records)
    done = f"{computed} cells of {frames} frames computed in {seconds:.1f} s"
    text = f"{plan_text(scanned, plan)}\n{done}"
    if rejections:
        text += "\n" + "\n".join(
            f"  rejected: {r['clip']}: {r['feature']}: {r['reason']}" for r in rejections
        )
    return {
        "planned": len(plan.cells),
        "reasons": {f"{feature}: {reason}": n for (feature, reason), n in plan.counts().items()},
        "computed": computed,
        "frames": frames,
        "rejections": rejections,
        "snapshot": snapshot,
        "seconds": seconds,
        "stage_seconds": dict(stages),
        "text": text,
    }
