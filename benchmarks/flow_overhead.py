"""What the flow costs over the pure functions it calls, and what a growing dataset costs.

    python -m benchmarks.flow_overhead overhead --clips 60      one core: pin it
    python -m benchmarks.flow_overhead growth --clips 5000      one core: pin it
    python -m benchmarks.flow_overhead dask --clips 40          two cores

Clips are 2 s of a sample clip, made different by a `free` box at their end. Printed are seconds
and the ratio within this run.
"""

import argparse
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


def overhead(folder: Path, count: int) -> None:
    from pipeline.process import process_clip
    from pipeline.profiles import load_profile
    from pipeline.scan import scan

    data = clips(folder / "videos", count)
    began = time.perf_counter()
    profile = load_profile("embedded", SIZE)
    for source in scan(data).clips:
        process_clip(source, list(profile.specs), profile)
    pure = time.perf_counter() - began
    flow, stages = flow_seconds(data, folder / "store", workers=1)
    written = stages.get("store", 0.0)
    computed = sum(stages.values()) - written
    print(f"{count} clips of 2 s: pure functions {pure:.1f} s, flow with one worker {flow:.1f} s")
    print(f"of the flow: the same functions {computed:.1f} s, writing arrays {written:.1f} s")
    print(f"overhead {100 * (flow - pure) / pure:.1f} %, start of the worker process counted;")
    print(f"without writing the arrays {100 * (flow - written - pure) / pure:.1f} %")


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
