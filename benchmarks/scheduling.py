"""What planning, handing out and committing cost a clip: real plan and store, fake encoders.

    python -m benchmarks.scheduling 2000 10000
    python -m benchmarks.scheduling --frames 0 --commit 5000 --task 200 10000 100000

Two features. With frames their arrays are really written, by the flow's own process; what a worker
would write beside others is counted apart. With `--frames 0` every clip is rejected: rows, cells
and reasons, no array. Per size: milliseconds per clip of the first plan, of a plan that finds
nothing, of the workers' part and of the committer's (allocate, fork, merge, clip table, commit);
the first and the last rounds, which say whether commits grow; and the memory that the process
reached.
"""

import argparse
import itertools
import pickle
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np

import store
from flows import rounds
from flows.config import PreprocessConfig
from flows.progress import Step
from flows.workers import Answer, ClipRecord, Job
from pipeline.profiles import Profile, load_profile
from pipeline.source import ClipSource
from store import Cache, ClipWrite, SourceKey, write_clip

FEATURES = ("face/mar", "face/found")


@dataclass
class FakeEncoders:
    """A crew that computes nothing."""

    frames: int = 50
    """0: every clip is rejected."""
    workers: int = 2
    seconds: float = 0.0

    def work(self, job: Job) -> Answer:
        job = pickle.loads(pickle.dumps(job))  # as it would travel to a worker
        began = time.perf_counter()
        answer = self._answer(job)
        self.seconds += time.perf_counter() - began
        return pickle.loads(pickle.dumps(answer))

    def _answer(self, job: Job) -> Answer:
        records = []
        for source in job.sources:
            wanted = job.fork.slots[source.clip_id].cells
            forms = {name: job.fork.features[name] for name in wanted}
            refused = {} if self.frames else dict.fromkeys(wanted, "no face in any frame")
            arrays = {
                name: np.zeros((self.frames, *form.shape), form.dtype)
                for name, form in forms.items()
                if self.frames
            }
            write_clip(job.fork, ClipWrite(source.clip_id, self.frames, arrays, rejected=refused))
            name = source.path.name
            records.append(
                ClipRecord(source.clip_id, name, self.frames, tuple(arrays), refused, {}, {})
            )
        return Answer(job.fork, records)

    work_alone = work


def sources_of(clips: int) -> list[ClipSource]:
    return [
        ClipSource(
            clip_id=f"clip-{i:08d}", content=f"{i:064x}", path=Path(f"/videos/{i}.mp4"),
            sha256=f"{i:064x}", start=None,
            end=None, dataset="clips", identity=f"p{i % 1000}", emotion="happy", intensity=None,
            view=None, sentence=None, split=None, transcript=None, size=1, mtime_ns=1,
        )
        for i in range(clips)
    ]  # fmt: skip


def run(clips: int, profile: Profile, frames: int, commit: int, task: int) -> dict[str, float]:
    sources = sources_of(clips)
    with tempfile.TemporaryDirectory() as folder:
        config = PreprocessConfig(
            data=Path(folder),
            store=f"{folder}/store",
            features=FEATURES,
            size=128,
            clips_per_commit=commit,
            clips_per_task=task,
        )
        cache = Cache.open(config.store, create=True)
        keys = [SourceKey(source.clip_id, source.content) for source in sources]
        wanted = {name: store.EncoderKey(name, profile.identity_of(name)) for name in FEATURES}
        began = time.perf_counter()
        plan = store.plan(cache.snapshot(), config.dataset, keys, wanted)
        planned = time.perf_counter() - began
        bar = Step("clips", clips)
        bar.update = lambda *_, **__: None  # nothing printed while timing
        by_id = {source.clip_id: source for source in sources}
        work = rounds.Work(config, cache, plan, profile, by_id, None, bar)
        crew = FakeEncoders(frames)
        ends: list[float] = []

        def answers(jobs: Iterable[Job]) -> Iterator[tuple[int, Answer]]:
            ends.append(time.perf_counter())
            return enumerate(crew.work(job) for job in jobs)

        began = time.perf_counter()
        with patch("flows.rounds.expected_frames", lambda _: frames):
            rounds.work_off(work, cast(Any, crew), answers)
        ended = time.perf_counter()
        lasted = [b - a for a, b in itertools.pairwise([*ends, ended])]
        again = time.perf_counter()
        assert not store.plan(cache.snapshot(), config.dataset, keys, wanted).cells
        replanned = time.perf_counter() - again
    return {
        "clips": clips,
        "plan ms/clip": 1000 * planned / clips,
        "plan again ms/clip": 1000 * replanned / clips,
        "workers ms/clip": 1000 * crew.seconds / clips,
        "committer ms/clip": 1000 * (ended - began - crew.seconds) / clips,
        "first rounds s": float(np.mean(lasted[:3])),
        "last rounds s": float(np.mean(lasted[-4:-1] or lasted)),
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=int, nargs="*", default=[500, 2000])
    parser.add_argument("--frames", type=int, default=50, help="frames of a clip; 0: rejected")
    parser.add_argument("--commit", type=int, default=500, help="clips of a commit")
    parser.add_argument("--task", type=int, default=8, help="clips of a task at most")
    told = parser.parse_args()
    profile = load_profile("embedded", 128)
    for number, clips in enumerate(told.clips):
        row = run(clips, profile, told.frames, told.commit, told.task)
        if not number:
            print("| " + " | ".join(row) + " |\n|" + "---:|" * len(row))
        print(
            "| "
            + " | ".join(
                f"{value:,.3g}" if isinstance(value, float) else f"{value:,}"
                for value in row.values()
            )
            + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
