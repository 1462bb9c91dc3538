"""A plan worked off in rounds: each round is one write session and one commit.

What a round has committed survives whatever comes after it: a machine that goes down in the tenth
hour costs the clips of one round. A clip whose worker dies is tried alone, and is rejected with the
reason when its worker dies again; the clips that were under way beside it lose nothing.
"""

import itertools
import statistics
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from flows.config import PreprocessConfig
from flows.crew import Crew
from flows.planning import QUARANTINED, clip_row, encoder_keys, feature_schemas
from flows.progress import Step
from flows.telemetry.ledger import Ledger
from flows.workers import Answer, ClipRecord, Job
from pipeline.clock import FPS
from pipeline.errors import MediaError, SourceAway
from pipeline.media import length
from pipeline.profiles import Profile
from pipeline.scratch import at_hand
from pipeline.source import ClipSource
from pipeline.stretches import LONGEST
from store import Batch, Cache, ClipWrite, Plan, Snapshot, write_clip
from store.session import WriteSession

TRIES_ALONE = 2

BATCHES_LEFT = 2
"""A batch is at most this part (a half) of a worker's share of what is left: the last are small."""

Map = Callable[[Iterable[Job]], Iterator[tuple[int, Answer]]]
"""Works jobs, several at a time; answers, each with its job's place, as they come."""


@dataclass(frozen=True)
class Work:
    """What all rounds of a run share."""

    config: PreprocessConfig
    cache: Cache
    plan: Plan
    profile: Profile
    sources: dict[str, ClipSource]
    before: Snapshot | None
    bar: Step


def expected_frames(source: ClipSource) -> int:
    """Frames to reserve for a clip: what its packets promise, and one more for rounding."""
    seconds = source.seconds
    if seconds is None:  # known to an earlier scan, which did not say
        try:
            with at_hand(source) as here:
                whole = length(here.path)
        except MediaError:
            return 0
        except SourceAway:  # its worker may reach it; frames that stay unwritten cost nothing
            whole = Fraction(LONGEST) + (source.start or 0)
        end = whole if source.end is None else min(source.end, whole)
        seconds = end - (source.start or 0)
    return max(0, -int(-seconds * FPS // 1)) + 1


def settled_files(work: Work, written: Collection[str]) -> list[str]:
    """Clips whose file was too young to be relied on when they were written, and is not any more.

    Said along with a commit that is made anyway: the next scan need not read these files again.
    """
    before, dataset = work.before, work.config.dataset
    if before is None or not before.has_dataset(dataset):
        return []
    table = before.table(dataset)
    young = np.flatnonzero((table.columns["mtime_ns"] < 0) & (table.columns["clip_id"] != ""))
    ids, content = table.columns["clip_id"], table.columns["content"]
    return [
        str(ids[row])
        for row in young
        if (source := work.sources.get(str(ids[row]))) is not None
        and source.mtime_ns >= 0
        and source.content == content[row]
        and source.clip_id not in written
    ]


def reserved_frames(work: Work, source: ClipSource) -> int:
    """Frames to reserve for a clip; those of its stored extent where it will keep that."""
    stored = stored_frames(work.before, work.config.dataset, source)
    return expected_frames(source) if stored is None else stored


def stored_frames(before: Snapshot | None, dataset: str, source: ClipSource) -> int | None:
    """Frames of the clip in a snapshot; None where it holds no frame of this very content."""
    if before is None or not before.has_dataset(dataset):
        return None
    table = before.table(dataset)
    row = table.row_of.get(source.clip_id)
    if row is None or table.value("content", row) != source.content:
        return None
    return int(table.value("frames", row)) or None


def work_off(work: Work, crew: Crew, answers: Map) -> tuple[list[ClipRecord], str, dict[str, Any]]:
    """Work off the plan; a record a clip, the newest snapshot, and what it cost."""
    config = work.config
    clip_ids = list(work.plan.by_clip)
    removed = work.plan.removed if config.prune else ()
    # A clip that is computed has its labels written along with its cells.
    relabelled = sorted({change.clip_id for change in work.plan.rows} - set(clip_ids))
    settled = settled_files(work, {*clip_ids, *relabelled})
    rounds = [
        clip_ids[first : first + config.clips_per_commit]
        for first in range(0, len(clip_ids), config.clips_per_commit)
    ]
    run_id = str(uuid.uuid4())
    ledger = Ledger(run_id, config.store, config.dataset, crew.workers, len(clip_ids))
    records: list[ClipRecord] = []
    for number, several in enumerate(rounds or [[]], 1):
        part = f", round {number} of {len(rounds)}" if len(rounds) > 1 else ""
        cells = sum(len(work.plan.by_clip[clip_id]) for clip_id in several)
        what = f"{cells} cells of {len(several)} clips{part}"
        if number == 1 and relabelled:
            what += f", labels of {len(relabelled)} clips"
        if number == 1 and removed:
            what += f", {len(removed)} clips removed"
        metadata = {
            "run_id": run_id,
            "plan_hash": work.plan.hash,
            "profile": config.profile,
            "flow": "preprocess",
        }
        schemas = feature_schemas(work.profile)
        with work.cache.write(
            config.dataset,
            schemas,
            f"preprocess: {what}",
            metadata,
            # An array of another form is begun anew once, before its first clip is written.
            reshaped(work) if number == 1 else (),
            encoders=encoder_keys(work.profile, config.features),
        ) as session:
            done = one_round(work, crew, answers, session, several, ledger) if several else []
            if number == 1:
                session.remove_clips(removed)
                told = [clip_row(work.sources[c], 0, {}) for c in (*relabelled, *settled)]
                session.update_rows(told)
            # What was counted up to here: the newest commit of a run tells of all of it.
            session.annotate(rates=rates(done), cost=ledger.cost())
            finished = time.monotonic()
        ledger.committed(time.monotonic() - finished, session.snapshot_id)
        records += done
    return records, work.cache.snapshot().id, ledger.ended()


def one_round(
    work: Work,
    crew: Crew,
    answers: Map,
    session: WriteSession,
    clip_ids: Sequence[str],
    ledger: Ledger,
) -> list[ClipRecord]:
    """Compute these clips into the session."""
    rows = [
        clip_row(
            work.sources[clip_id],
            reserved_frames(work, work.sources[clip_id]),
            work.plan.cells_of(clip_id),
        )
        for clip_id in clip_ids
    ]
    (whole,) = session.allocate(rows, max_clips=len(rows))
    sizes = batch_sizes(len(rows), crew.workers, work.config.clips_per_task)
    ends = list(itertools.accumulate(sizes))
    batches = [Batch(whole.slots[a:b]) for a, b in itertools.pairwise([0, *ends])]
    records: list[ClipRecord] = []
    suspects: list[tuple[Batch, str]] = []

    def take(answer: Answer) -> None:
        if answer.fork is not None:
            session.merge(answer.fork)
        records.extend(answer.records)
        for record in answer.records:
            ledger.clip(record)
        work.bar.advance(len(answer.records), note=answer.records[-1].name)

    jobs = (job_of(work, session, batch) for batch in batches)
    for place, answer in answers(jobs):
        if answer.lost:
            suspects += [(Batch((slot,)), answer.lost) for slot in batches[place].slots]
        else:
            take(answer)
    for batch, _ in suspects:
        take(one_alone(work, crew, session, batch))
    order = {clip_id: place for place, clip_id in enumerate(clip_ids)}
    return sorted(records, key=lambda record: order[record.clip_id])


def one_alone(work: Work, crew: Crew, session: WriteSession, batch: Batch) -> Answer:
    """A clip that was under way when a worker died: tried alone, twice, then quarantined."""
    answer = Answer()
    for _ in range(TRIES_ALONE):
        answer = crew.work_alone(job_of(work, session, batch))
        if not answer.lost:
            return answer
    (slot,) = batch.slots
    source = work.sources[slot.clip_id]
    reason = f"{QUARANTINED}{answer.lost}, {TRIES_ALONE} times when it was alone"
    fork = session.fork(batch)
    rejected = dict.fromkeys(slot.cells, reason)
    write_clip(fork, ClipWrite(slot.clip_id, 0, rejected=rejected))
    return Answer(fork, [ClipRecord(slot.clip_id, source.path.name, 0, (), rejected, {}, {})])


def job_of(work: Work, session: WriteSession, batch: Batch) -> Job:
    """A batch as a job, with a fork of its own."""
    config = work.config
    return Job(
        fork=session.fork(batch),
        dataset=config.dataset,
        sources=tuple(work.sources[clip_id] for clip_id in batch.clip_ids),
        before=work.before,
        profile=config.profile,
        overrides=config.overrides,
        size=config.size,
        limit=(config.clip_seconds, config.frame_seconds),
    )


def reshaped(work: Work) -> list[str]:
    """Features whose frames have another form than the stored ones: their arrays begin anew."""
    before, dataset = work.before, work.config.dataset
    if before is None or not before.has_dataset(dataset):
        return []
    stored = before.features(dataset)
    schemas = feature_schemas(work.profile)
    return [n for n, schema in schemas.items() if n in stored and not stored[n].same_form(schema)]


def batch_sizes(clips: int, workers: int, most: int) -> list[int]:
    """Clips of each task: smaller and smaller, so that no worker idles while another has several
    left.

    >>> batch_sizes(40, 2, 8)
    [8, 8, 6, 4, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1]
    """
    sizes = []
    while clips:
        sizes.append(max(1, min(most, clips // (BATCHES_LEFT * workers))))
        clips -= sizes[-1]
    return sizes


def rates(records: Sequence[ClipRecord]) -> dict[str, float]:
    """Seconds per frame of each stage, for the estimates of later plans.

    The median over clips: a worker's first clip also pays for loading its models.
    """
    found: dict[str, list[float]] = {}
    for record in records:
        for stage, spent in record.seconds.items():
            if record.frames:
                found.setdefault(stage, []).append(spent / record.frames)
    return {stage: statistics.median(values) for stage, values in found.items()}
