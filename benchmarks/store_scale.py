"""How the store grows with its clips: opening, committing, planning, and bytes of metadata.

`python benchmarks/store_scale.py [--rows] [--keep FOLDER] SIZE...` (default 1000 10000 100000).

Each size gets a store of its own, written through write sessions of 5,000 clips; then all are
measured in turns, so that ratios hold on a busy machine. Every clip has two features of 20 frames;
with `--rows` it has a row, an extent and two rejected cells, but no frames (ten times faster to
write: 1,000,000 clips in minutes). Stores found in FOLDER are used again.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from store_figures import DATASET, fill, folder_bytes, small_features

import store

FEATURES = small_features(2)
STEP = 5_000
TURNS = 7


def encoders(version: int = 1) -> dict[str, store.EncoderKey]:
    """Encoders of the features."""
    return {name: store.EncoderKey(name, {"name": name, "v": version}) for name in FEATURES}


def sources(n: int, changed: int = 0) -> list[store.SourceKey]:
    """The clips that are in the store, the first few with other content."""
    return [
        store.SourceKey(f"clip{i:07d}", f"{i if i >= changed else -i - 1:064x}") for i in range(n)
    ]


def rows_only(cache: store.Cache, first: int, count: int) -> None:
    """Clips with rows, extents and rejected cells, without frames."""
    keys = sources(first + count)[first:]
    who = encoders()
    with cache.write(DATASET, FEATURES, f"rows {count}") as session:
        rows = [
            store.ClipRow(
                clip_id,
                content,
                20,
                {f: store.fingerprint(content, who[f].identity) for f in FEATURES},
                identity=f"M{i % 50:03d}",
                uri=f"/videos/{clip_id}.mp4",
                sha256=content,
                size=1_000_000 + i,
                mtime_ns=1_700_000_000_000_000_000 + i,
            )
            for i, (clip_id, content) in enumerate(keys, start=first)
        ]
        session.allocate(rows)
        reasons = dict.fromkeys(FEATURES, "no face in any frame")
        for row in rows:
            session.write_clip(store.ClipWrite(row.clip_id, 20, rejected=reasons))


def build(folder: Path, size: int, rows: bool) -> store.Cache:
    """A store of `size` clips, or as it was found."""
    cache = store.Cache.open(folder / f"{'rows' if rows else 'data'}-{size}", create=True)
    there = len(cache.snapshot().table(DATASET).row_of) if cache.datasets() else 0
    start = time.perf_counter()
    begun = there
    while there < size:
        step = min(STEP if not rows else 10 * STEP, size - there)
        (rows_only if rows else fill)(cache, there, step, *(() if rows else (FEATURES,)))
        there += step
        if (there // STEP) % 10 == 0:
            print(f"  {there} of {size} clips, {time.perf_counter() - start:.0f} s", flush=True)
    if there > begun:
        per_clip = (time.perf_counter() - start) / (there - begun) * 1e3
        print(f"{size} clips written: {per_clip:.2f} ms a clip", flush=True)
    if there == size:
        fill(cache, size, 1, FEATURES)  # a clip with data to read
    return cache


class Meter:
    """Measures one store, a turn at a time."""

    def __init__(self, cache: store.Cache, size: int) -> None:
        """`size`: clips in the store but for those that `commit` adds."""
        self.cache, self.size = cache, size
        self.added = len(cache.snapshot().table(DATASET).row_of) - size
        self.times: dict[str, list[float]] = {}

    def turn(self, plans: bool) -> None:
        """Measure everything once."""
        self._time("commit", self._commit)
        self._time("open + window", self._window)
        if plans:
            unchanged, ten = sources(self.size), sources(self.size, 10)
            self._time("plan, unchanged", lambda: self._plan(unchanged))
            self._time("plan, 10 changed", lambda: self._plan(ten))

    def _time(self, name: str, run: Callable[[], None]) -> None:
        start = time.perf_counter()
        run()
        self.times.setdefault(name, []).append(time.perf_counter() - start)

    def _commit(self) -> None:
        fill(self.cache, self.size + self.added, 1, FEATURES)
        self.added += 1

    def _window(self) -> None:
        snapshot = store.Cache.open(self.cache.location).snapshot()
        snapshot.read(DATASET, "f0", f"clip{self.size:07d}", 0, 20)

    def _plan(self, keys: list[store.SourceKey]) -> None:
        snapshot = store.Cache.open(self.cache.location).snapshot()
        store.plan(snapshot, DATASET, keys, encoders())

    def bytes(self) -> dict[str, int]:
        """Bytes on disk by kind, before anything is collected."""
        folder = Path(self.cache.location)
        kinds = ("chunks", "manifests", "snapshots", "transactions", ".emohead.seals")
        return {kind: folder_bytes(folder / kind) for kind in kinds}


def main() -> None:
    """Build, measure in turns, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--rows", action="store_true", help="rows and cells, no frames")
    parser.add_argument("--keep", help="folder of the stores (default: a temporary one)")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(told.keep or temporary)
        meters = [Meter(build(folder, size, told.rows), size) for size in told.sizes]
        for meter in meters:
            meter.turn(plans=False)  # warm
            meter.times.clear()
        for turn in range(TURNS):
            for meter in meters:
                meter.turn(plans=turn < 2)
        base = meters[0]
        for meter in meters:
            for name, times in meter.times.items():
                middle, first = float(np.median(times)), float(np.median(base.times[name]))
                print(
                    f"{meter.size} clips: {name}: {middle * 1e3:.0f} ms "
                    f"({middle / first:.2f} x {base.size})"
                )
            sizes = ", ".join(f"{kind} {n / 1e6:.2f} MB" for kind, n in meter.bytes().items())
            print(f"{meter.size} clips: {sizes}", flush=True)


if __name__ == "__main__":
    main()
