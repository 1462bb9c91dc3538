"""Flow `preprocess`: raw videos to valid cells, what is valid already left alone.

Scan → plan → batches on worker processes → one commit. Killed at any moment, the store keeps its
last snapshot and the next run plans what is missing.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from flows.config import PreprocessConfig
from flows.crew import Crew, crew_of
from flows.errors import NothingToDo
from flows.orchestra import call, each, note_page, note_table, note_text, progress_noted
from flows.planning import newest, plan_preprocess, plan_text, profile_of
from flows.progress import step
from flows.rounds import Work, work_off
from flows.telemetry.ledger import cost_text
from flows.turns import turn
from flows.workers import Answer, ClipRecord, Job
from pipeline.profiles import Profile
from pipeline.scan import ScanResult
from store import Cache, Plan, Snapshot

NAMED = 3
"""Clips named of those rejected for one reason."""

TASK_THREADS = 64
"""Threads that wait for workers; at most this many batches are under way."""


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
def process_batch(crew: Crew, job: Job) -> Answer:
    """Clips of one batch to arrays in the store. Pure work: a retry would give the same."""
    return crew.work(job)


@flow(
    name="preprocess",
    flow_run_name="preprocess {config.data}",
    persist_result=False,
    # Prefect types the parameter for another kind of future than its own runner returns.
    task_runner=cast(Any, ThreadPoolTaskRunner(max_workers=TASK_THREADS)),
)
def preprocess(config: PreprocessConfig) -> dict[str, Any]:
    """Bring a dataset of the store up to date with a folder of videos.

    Returns:
        Counts and reasons: planned, computed and rejected cells, refused files, the snapshot id.

    Raises:
        InputError: the folder is not there or holds no video.
        NothingToDo: not one clip could be used, now or before.
        StoreBusy: another run works on this store, longer than was to be waited.
    """
    with turn(config.store, config.wait_seconds):
        summary = _preprocess(config)
    return with_page(summary, config)  # nobody need wait for a page


def _preprocess(config: PreprocessConfig) -> dict[str, Any]:
    began = time.monotonic()
    with step("scan and plan"):
        scanned, plan, profile = call(scan_and_plan, config)
    cache = Cache.open(config.store, create=True)
    text = plan_text(scanned, plan)
    note_text("plan", f"```\n{text}\n```", "What and why")
    records: list[ClipRecord] = []
    snapshot, cost = cache.snapshot().id, None
    if plan.cells or plan.rows or (config.prune and plan.removed):
        records, snapshot, cost = compute_plan(config, cache, scanned, plan, profile)
    summary = summarise(scanned, plan, records, snapshot, time.monotonic() - began, cost)
    if cost is not None:
        note_text("cost", f"```\n{cost_text(cost)}\n```", "What the run cost")
    if summary["rejections"]:
        note_table("rejections", summary["rejections"])
    after = cache.snapshot(snapshot)
    if not has_valid_cell(after, config.dataset, [source.clip_id for source in scanned.clips]):
        raise NothingToDo(
            f"none of the {len(scanned.clips)} clips in {config.data} could be used:\n"
            + "\n".join(f"  {r['clip']}: {r['reason']}" for r in summary["rejections"])
        )
    return summary


def with_page(summary: dict[str, Any], config: PreprocessConfig) -> dict[str, Any]:
    """The summary of a run, with the quality page that was asked for: by the run's own limits."""
    if config.report is None:
        return summary
    from flows.quality_page import write_quality_page
    from pipeline.face.rgb import RgbConfig

    with step("write quality page"):
        crop = profile_of(config).encoder("crop").config
        limits = crop.quality if isinstance(crop, RgbConfig) else None
        page = write_quality_page(config.store, config.report, config.dataset, limits=limits)
    note_page("quality", page, "Counts, reasons, throughput, pictures")
    return summary | {"report": str(page), "text": f"{summary['text']}\nwrote {page}"}


def compute_plan(
    config: PreprocessConfig, cache: Cache, scanned: ScanResult, plan: Plan, profile: Profile
) -> tuple[list[ClipRecord], str, dict[str, Any]]:
    """Work off the plan, round by round; returns a record a clip, the new snapshot, the cost."""
    sources = {source.clip_id: source for source in scanned.clips}
    before = newest(config.store)
    workers = min(config.workers, max(1, len(plan.by_clip)))
    with (
        step("preprocess clips", total=len(plan.by_clip), unit="clips") as bar,
        progress_noted("progress", bar),
        crew_of(workers, config.cluster, config.resources) as crew,
    ):

        def answers(jobs: Iterable[Job]) -> Iterator[tuple[int, Answer]]:
            # Two jobs a worker: one under way, one at hand.
            in_flight = min(TASK_THREADS, 2 * crew.workers)
            return each(process_batch, ((crew, job) for job in jobs), in_flight)

        work = Work(config, cache, plan, profile, sources, before, bar)
        return work_off(work, crew, answers)


def has_valid_cell(snapshot: Snapshot, dataset: str, clip_ids: Sequence[str]) -> bool:
    """Whether anything of these clips can be used."""
    if not snapshot.has_dataset(dataset):
        return False
    table = snapshot.table(dataset)
    rows = [row for clip_id in clip_ids if (row := table.row_of.get(clip_id)) is not None]
    # Feature by feature: the first one as a rule tells, and a table may have millions of cells.
    return any(
        bool(((table.fingerprints[name][rows] != "") & (table.rejections[name][rows] == "")).any())
        for name in table.fingerprints
    )


def summarise(
    scanned: ScanResult,
    plan: Plan,
    records: list[ClipRecord],
    snapshot: str,
    seconds: float,
    cost: dict[str, Any] | None = None,
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
    text += "".join(f"\n  rejected: {line}" for line in by_reason(rejections))
    if cost is not None and cost["frames"]:
        text += f"\n{cost_text(cost)}"
    return {
        "planned": len(plan.cells),
        "reasons": {f"{feature}: {reason}": n for (feature, reason), n in plan.counts().items()},
        "labels": len(plan.rows),
        "computed": computed,
        "frames": frames,
        "rejections": rejections,
        "snapshot": snapshot,
        "seconds": seconds,
        "stage_seconds": dict(stages),
        "cost": cost,
        "text": text,
    }


def by_reason(rejections: list[dict[str, str]]) -> list[str]:
    """A line for each reason and what it cost; clips beyond a few are counted, not named."""
    clips: dict[tuple[str, str], list[str]] = {}
    for told in rejections:
        clips.setdefault((told["reason"], told["feature"]), []).append(told["clip"])
    lines = []
    for (reason, feature), names in clips.items():
        shown = ", ".join(names[:NAMED])
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        lines.append(f"{shown}{more}: {feature}: {reason}")
    return lines
