"""Figures of the store's care: diff, label changes, compaction, export.

Run: `python benchmarks/store_care.py [diff] [labels] [compact] [export] [clips=2000]`. Each part
prints its own lines; `clips` is the size of the stores that are really written.
"""

import datetime
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import store
from store.cell_differences import cell_differences
from store.fingerprints import Fingerprinter
from store.row_facts import row_changes
from store.schema import CLIP_COLUMNS
from store.table import ClipTable

DATASET = "bench"
MANY = 100_000
FRAMES = 20


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def key(feature: str, version: int) -> store.EncoderKey:
    """An encoder that reads the media."""
    return store.EncoderKey(feature, {"encoder": feature, "version": str(version)})


def write(cache: store.Cache, clips: list[int], features: int, version: int = 1) -> None:
    """Clips of 20 frames, each feature one number a frame, in one commit."""
    names = [f"f{i}" for i in range(features)]
    schemas = {n: store.FeatureSchema(n, (), "float32", float("nan")) for n in names}
    keys = {n: key(n, version if n == "f0" else 1) for n in names}
    sources = [store.SourceKey(f"clip{i:07d}", f"{i:064x}") for i in clips]
    plan = store.plan(cache.snapshot(), DATASET, sources, keys)
    with cache.write(DATASET, schemas, "write", encoders=keys) as session:
        rows = [store.ClipRow(c, h, FRAMES, plan.cells_of(c)) for c, h in sources]
        session.allocate([row for row in rows if row.cells])
        values = np.full(FRAMES, version, np.float32)
        for row in rows:
            if row.cells:
                arrays = dict.fromkeys(row.cells, values)
                session.write_clip(store.ClipWrite(row.clip_id, FRAMES, arrays))


def table_of(prints: dict[str, np.ndarray], n: int) -> ClipTable:
    """A table in memory."""
    columns: dict[str, np.ndarray] = {
        name: np.full(n, column.fill, object if column.dtype == "str" else column.dtype)
        for name, column in CLIP_COLUMNS.items()
    }
    columns["clip_id"] = np.array([f"clip{i:07d}" for i in range(n)], object)
    columns["content"] = np.array([f"{i:064x}" for i in range(n)], object)
    return ClipTable(columns, prints, {f: np.full(n, "", object) for f in prints}, {})


def diff(clips: int) -> None:
    """Two snapshots of a stored dataset, and 1.2 million cells in memory."""
    with tempfile.TemporaryDirectory() as folder:
        cache = store.Cache.open(Path(folder) / "cache", create=True)
        write(cache, list(range(clips)), 6)
        first = cache.snapshot()
        write(cache, list(range(clips)), 6, version=2)
        cold, second = store.Cache.open(cache.location), cache.snapshot()
        same = seconds(lambda: store.diff(cold.snapshot(), store.Snapshot(*second.__reduce__()[1])))
        found: list[store.Diff] = []
        changed = seconds(lambda: found.append(store.diff(first, second)))
        print(
            f"diff, {clips} clips x 6 stored features: equal {same:.2f} s; one encoder changed "
            f"({len(found[0].entries)} cells) {changed:.2f} s"
        )
    contents = [f"{i:064x}".encode() for i in range(MANY)]
    names = [f"f{i}" for i in range(12)]
    encoders = {(n, v): key(n, v) for n in names for v in (1, 2)}
    prints = {
        k: np.array(Fingerprinter(e.identity).of_many(contents, []), object)
        for k, e in encoders.items()
    }
    before = table_of({n: prints[n, 1] for n in names}, MANY)
    rows = np.arange(MANY)
    for changed_features in (0, 1, 12):
        after = table_of(
            {n: prints[n, 2 if i < changed_features else 1] for i, n in enumerate(names)}, MANY
        )
        sides = [(t, rows, t.columns["content"]) for t in (before, after)]

        def run(sides: list = sides) -> None:
            for name in names:
                known = [encoders[name, 1], encoders[name, 2]]
                for _ in cell_differences(name, known, *sides):
                    pass

        print(
            f"diff in memory, {MANY} clips x 12 features, {changed_features} encoders changed: "
            f"{seconds(run):.2f} s"
        )


def labels(clips: int) -> None:
    """Label changes of many clips."""
    del clips
    table = table_of({}, MANY)
    rows = [store.ClipRow(f"clip{i:07d}", f"{i:064x}", 0, identity="x" * (i == 7)) for i in rows_()]
    found: list[int] = []
    took = seconds(lambda: found.append(len(row_changes(table, rows))))
    print(f"label changes, {MANY} clips, {found[0]} found: {took:.2f} s")


def rows_() -> range:
    """Positions of the clips in memory."""
    return range(MANY)


def one_clip_commit(cache: store.Cache, number: int) -> float:
    """Seconds of a commit of one new clip."""
    return seconds(lambda: write(cache, [number], 2))


def state(cache: store.Cache, clips: int) -> str:
    """What a store of holes costs: commit, open and window, files."""
    commits = [one_clip_commit(cache, clips + 10 + i) for i in range(3)]
    with cache.write(DATASET, {}, "as before") as session:
        session.remove_clips([f"clip{clips + 10 + i:07d}" for i in range(3)])

    def window() -> None:
        again = store.Cache.open(cache.location).snapshot()
        again.read(DATASET, "f0", f"clip{clips - 1:07d}", 0, 10)

    reads = [seconds(window) for _ in range(5)]
    folder = Path(cache.location)
    sizes = {
        name: (len(found), sum(path.stat().st_size for path in found))
        for name in ("chunks", "manifests")
        if (found := list((folder / name).iterdir())) or True
    }
    files = ", ".join(f"{n} {name} of {size} bytes" for name, (n, size) in sizes.items())
    return (
        f"one-clip commit {np.median(commits) * 1e3:.0f} ms, open + window "
        f"{np.median(reads) * 1e3:.0f} ms; {files}"
    )


def compact(clips: int) -> None:
    """A dataset of which nine in ten clips were removed, before and after compaction."""
    with tempfile.TemporaryDirectory() as folder:
        cache = store.Cache.open(Path(folder) / "cache", create=True)
        write(cache, list(range(clips)), 2)
        with cache.write(DATASET, {}, "remove") as session:
            session.remove_clips([f"clip{i:07d}" for i in range(clips - 1) if i % 10])

        def clean() -> None:
            later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
            cache._collect(later, expire=True)

        clean()
        print(f"compact, {clips} clips, nine in ten removed: {state(cache, clips)}")
        clean()
        done: list[store.Compaction] = []
        took = seconds(lambda: done.append(store.compact(cache, DATASET)))
        print(f"  {took:.2f} s: {done[0].summary()}")
        clean()
        print(f"  after it and gc: {state(cache, clips)}")


def export(clips: int) -> None:
    """Export against reading the same cells."""
    with tempfile.TemporaryDirectory() as folder:
        cache = store.Cache.open(Path(folder) / "cache", create=True)
        write(cache, list(range(clips)), 2)
        snapshot = cache.snapshot()
        ids = list(snapshot.table(DATASET).row_of)
        read = seconds(lambda: [snapshot.read_many(DATASET, [("f0", c, 0, None)]) for c in ids])
        for form in ("npy", "safetensors"):
            out = Path(folder) / form
            took = seconds(lambda form=form, out=out: store.export(
                cache.snapshot(), DATASET, out, ["f0"], form
            ))  # fmt: skip
            print(
                f"export as {form}, {clips} clips x 1 feature: {took:.2f} s "
                f"({took / read:.1f} x reading them)"
            )


if __name__ == "__main__":
    parts = {"diff": diff, "labels": labels, "compact": compact, "export": export}
    size = next((int(a.split("=")[1]) for a in sys.argv[1:] if a.startswith("clips=")), 2_000)
    for name in [a for a in sys.argv[1:] if "=" not in a] or list(parts):
        parts[name](size)
