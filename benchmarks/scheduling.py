"""What planning, handing out and committing cost a clip: real plan and store, fake encoders.

    python -m benchmarks.scheduling 2000 10000

Each clip has 50 frames of two small features, written by the flow's own process, so that what is
left is the overhead of emohead. Printed per size: seconds per clip of planning, of the rounds
(allocate, fork, write, merge, commit), and the memory that the process reached.
"""

import argparse
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

FRAMES = 50
FEATURES = ("face/mar", "face/found")


@dataclass
class FakeEncoders:
    """A crew that computes nothing."""

    workers: int = 2

    def work(self, job: Job) -> Answer:
        records = []
        for source in job.sources:
            wanted = job.fork.slots[source.clip_id].cells
            forms = {name: job.fork.features[name] for name in wanted}
            arrays = {name: np.zeros((FRAMES, *f.shape), f.dtype) for name, f in forms.items()}
            write_clip(job.fork, ClipWrite(source.clip_id, FRAMES, arrays))
            records.append(
                ClipRecord(source.clip_id, source.path.name, FRAMES, tuple(arrays), {}, {}, {})
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


def run(clips: int, profile: Profile) -> dict[str, float]:
    sources = sources_of(clips)
    with tempfile.TemporaryDirectory() as folder:
        config = PreprocessConfig(
            data=Path(folder), store=f"{folder}/store", features=FEATURES, size=128
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
        crew = FakeEncoders()

        def answers(jobs: Iterable[Job]) -> Iterator[Answer]:
            return (crew.work(job) for job in jobs)

        began = time.perf_counter()
        with patch("flows.rounds.expected_frames", lambda _: FRAMES):
            rounds.work_off(work, cast(Any, crew), answers)
        worked = time.perf_counter() - began
        again = time.perf_counter()
        assert not store.plan(cache.snapshot(), config.dataset, keys, wanted).cells
        replanned = time.perf_counter() - again
    return {
        "clips": clips,
        "plan ms/clip": 1000 * planned / clips,
        "plan again ms/clip": 1000 * replanned / clips,
        "rounds ms/clip": 1000 * worked / clips,
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=int, nargs="*", default=[500, 2000])
    profile = load_profile("embedded", 128)
    rows = [run(clips, profile) for clips in parser.parse_args().clips]
    print("| " + " | ".join(rows[0]) + " |\n|" + "---:|" * len(rows[0]))
    for row in rows:
        print(
            "| "
            + " | ".join(
                f"{value:,.3g}" if isinstance(value, float) else f"{value:,}"
                for value in row.values()
            )
            + " |"
        )


if __name__ == "__main__":
    main()
