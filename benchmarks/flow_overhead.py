"""What the flow costs over the pure functions it calls, and what a growing dataset costs.

    python -m benchmarks.flow_overhead overhead --clips 500     two cores, one for each
    python -m benchmarks.flow_overhead growth --clips 5000      one core: pin it
    python -m benchmarks.flow_overhead dask --clips 40          two cores

Clips are 2 s of a sample clip, made different by a `free` box at their end. Printed are seconds
and the ratio within this run.
"""

import argparse
import multiprocessing
import os
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

# Nothing heavy here: every spawned worker imports this module first.

SIZE = 128
FAST = ("face/mar", "face/found")


def clips(folder: Path, count: int, first: int = 0) -> Path:
    """`count` clips of 2 s, each with a content of its own."""
    from pipeline.ffmpeg import ffmpeg_exe
    from pipeline.samples import make_samples

    source = folder.parent / "source"
    short = source / "short.mp4"
    if not short.exists():
        make_samples(source, emotions=("happy",), sentences=("s1",))
        whole = sorted(source.glob("iris*.mp4"))[0]
        subprocess.run(
            [ffmpeg_exe(), "-v", "error", "-y", "-i", str(whole), "-t", "2", str(short)], check=True
        )
    folder.mkdir(exist_ok=True)
    data = short.read_bytes()
    for i in range(first, first + count):
        tail = f"{i:016d}".encode()
        box = struct.pack(">I4s", 8 + len(tail), b"free") + tail
        (folder / f"clip{i:06d}.mp4").write_bytes(data + box)
    return folder


def flow_seconds(data: Path, location: Path, **more: Any) -> tuple[float, dict[str, float]]:
    """Wall seconds of the flow, and of its stages."""
    from flows.config import PreprocessConfig
    from flows.orchestra import call
    from flows.preprocess import preprocess

    config = PreprocessConfig(data=data, store=str(location), size=SIZE, **more)
    began = time.perf_counter()
    summary = call(preprocess, config)
    if summary["rejections"]:
        raise SystemExit(f"rejected: {summary['rejections'][:3]}")
    return time.perf_counter() - began, summary["stage_seconds"]


def pure_functions(data: Path, location: Path) -> tuple[float, float]:
    """Seconds of one process that calls the functions one after another, and of its writing.

    What any script has to do: find the clips, compute each, write its arrays, commit once.
    """
    from flows.config import PreprocessConfig
    from flows.planning import clip_row, encoder_keys, feature_schemas
    from flows.rounds import expected_frames
    from pipeline.process import process_clip
    from pipeline.profiles import load_profile
    from pipeline.scan import scan
    from store import Cache, ClipWrite, write_clip

    began, writing = time.perf_counter(), 0.0
    profile = load_profile("embedded", SIZE)
    keys = encoder_keys(profile, PreprocessConfig(data=data, store=str(location)).features)
    cells = dict.fromkeys(profile.specs, "0")
    sources = scan(data).clips
    cache = Cache.open(str(location), create=True)
    with cache.write("clips", feature_schemas(profile), "pure", encoders=keys) as session:
        rows = [clip_row(source, expected_frames(source), cells) for source in sources]
        (batch,) = session.allocate(rows, max_clips=len(rows))
        fork = session.fork(batch)
        for source in sources:
            result = process_clip(source, list(profile.specs), profile)
            before = time.perf_counter()
            write = ClipWrite(source.clip_id, result.frames, result.arrays, result.tokens)
            write_clip(fork, write)
            writing += time.perf_counter() - before
        session.merge(fork)
    return time.perf_counter() - began, writing


def _arm(core: int, which: str, data: Path, location: Path, answers: Any) -> None:
    os.sched_setaffinity(0, {core})  # inherited by the worker that the flow starts
    if which == "pure":
        answers.put((which, pure_functions(data, location)))
    else:
        seconds, stages = flow_seconds(data, location, workers=1)
        answers.put((which, (seconds, stages.get("store", 0.0))))


def overhead(folder: Path, count: int) -> None:
    """The functions and the flow side by side, each on a core of its own."""
    data = clips(folder / "videos", count)
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    cores = sorted(os.sched_getaffinity(0))[:2]
    arms = [
        context.Process(target=_arm, args=(core, which, data, folder / which, answers))
        for core, which in zip(cores, ("pure", "flow"), strict=True)
    ]
    for arm in arms:
        arm.start()
    taken = dict(answers.get() for _ in arms)
    for arm in arms:
        arm.join()
    (pure, pure_writing), (flow, flow_writing) = taken["pure"], taken["flow"]
    print(f"{count} clips of 2 s, one core each, side by side")
    print(f"functions {pure:.1f} s, of which writing arrays {pure_writing:.1f} s")
    print(f"flow with one worker {flow:.1f} s, of which writing arrays {flow_writing:.1f} s")
    print(f"overhead {100 * (flow - pure) / pure:.1f} %, start of the worker process counted")


def growth(folder: Path, count: int) -> None:
    """Ten clips more, in a store of `count` (their cells written by fake encoders) and alone."""
    import store
    from benchmarks.scheduling import FakeEncoders
    from flows import rounds
    from flows.config import PreprocessConfig
    from flows.planning import encoder_keys, plan_preprocess
    from flows.progress import Step
    from flows.workers import Answer, Job
    from store import Cache

    ten = clips(folder / "ten", 10, count)
    alone, _ = flow_seconds(ten, folder / "small", workers=1, features=FAST)
    data = clips(folder / "videos", count)
    time.sleep(2.5)  # files younger than 2 s are not yet relied on, and hashed again next time
    config = PreprocessConfig(data=data, store=str(folder / "large"), size=SIZE, features=FAST)
    cache = Cache.open(config.store, create=True)
    scanned, plan, profile = plan_preprocess(config)
    bar = Step("clips", count)
    bar.update = lambda *_, **__: None
    sources = {source.clip_id: source for source in scanned.clips}
    crew = FakeEncoders()

    def answers(jobs: Iterable[Job]) -> Iterator[tuple[int, Answer]]:
        return enumerate(crew.work(job) for job in jobs)

    with patch("flows.rounds.expected_frames", lambda _: 50):
        work = rounds.Work(config, cache, plan, profile, sources, None, bar)
        rounds.work_off(work, cast(Any, crew), answers)
    wanted = encoder_keys(profile, FAST)
    assert store.plan(cache.snapshot(), "clips", [], wanted).cells == []
    clips(data, 10, count)
    began = time.perf_counter()
    plan_preprocess(config)
    planning = time.perf_counter() - began
    more, _ = flow_seconds(data, folder / "large", workers=1, features=FAST)
    print(f"10 clips alone {alone:.1f} s, 10 clips added to {count} {more:.1f} s")
    print(f"of which scan and plan {planning:.1f} s; ratio {more / alone:.2f}; ", end="")
    print(f"allowed 1.2 x + 2 s = {1.2 * alone + 2:.1f} s")


def dask(folder: Path, count: int) -> None:
    data = clips(folder / "videos", count)
    one, _ = flow_seconds(data, folder / "one", cluster="local:1")
    two, _ = flow_seconds(data, folder / "two", cluster="local:2")
    print(f"{count} clips of 2 s on Dask: one worker {one:.1f} s, two {two:.1f} s")
    print(f"ratio {one / two:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["overhead", "growth", "dask"])
    parser.add_argument("--clips", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        {"overhead": overhead, "growth": growth, "dask": dask}[arguments.what](
            Path(folder), arguments.clips
        )


if __name__ == "__main__":
    main()
