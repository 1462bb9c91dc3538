"""Figures of the store: commit, plan, read, pack, codec. Run: `python benchmarks/store_figures.py`.

Each part prints its own lines and can be named as an argument: commit plan window pack codec.
Baselines run in the same process, so the ratios hold on a busy machine where the times do not.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr
from skimage.data import astronaut
from zarr.storage import LocalStore

import store
from store.planning import plan_table
from store.table import empty_table

NAN = float("nan")
DATASET = "bench"


def small_features(n: int) -> dict[str, store.FeatureSchema]:
    """`n` features of one number a frame."""
    names = [f"f{i}" for i in range(n)]
    return {name: store.FeatureSchema(name, (), "float32", NAN) for name in names}


def median_seconds(run: Callable[[], object], repeats: int = 7) -> float:
    """Median wall time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def fill(
    cache: store.Cache, first: int, count: int, features: dict[str, store.FeatureSchema]
) -> None:
    """Write clips first..first + count of 20 frames in one commit."""
    cells = dict.fromkeys(features, "0" * 32)
    values = np.ones(20, np.float32)
    with cache.write(DATASET, features, f"fill {count}") as session:
        rows = [
            store.ClipRow(f"clip{i:07d}", f"{i:064x}", 20, cells, identity=f"M{i % 50:03d}")
            for i in range(first, first + count)
        ]
        session.allocate(rows)
        for row in rows:
            arrays = dict.fromkeys(features, values)
            session.write_clip(store.ClipWrite(row.clip_id, 20, arrays))


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def commit(sizes: tuple[int, ...] = (1_000, 10_000)) -> None:
    """A one-clip commit, and opening + one window, against the number of clips there are."""
    features = small_features(2)
    with tempfile.TemporaryDirectory() as folder:
        cache = store.Cache.open(Path(folder) / "cache", create=True)
        there = 0
        for size in sizes:
            start = time.perf_counter()
            while there < size:
                step = min(5_000, size - there)
                fill(cache, there, step, features)
                there += step
            seconds = time.perf_counter() - start

            def one(features: dict[str, store.FeatureSchema] = features) -> None:
                nonlocal there
                fill(cache, there, 1, features)
                there += 1

            commit_ms = median_seconds(one) * 1e3

            def window(size: int = size) -> None:
                snapshot = store.Cache.open(cache.location).snapshot()
                snapshot.read(DATASET, "f0", f"clip{size // 2:07d}", 0, 20)

            open_ms = median_seconds(window) * 1e3
            print(
                f"commit: {size} clips: filled in {seconds:.1f} s, one-clip commit "
                f"{commit_ms:.0f} ms, open + window {open_ms:.0f} ms, "
                f"{folder_bytes(Path(cache.location)) / 1e6:.1f} MB on disk"
            )


def plan(n_clips: int = 100_000, n_features: int = 12) -> None:
    """Plan a new store, an unchanged one, and one of which one encoder changed."""
    names = [f"f{i}" for i in range(n_features)]

    def keys(version: int) -> dict[str, store.EncoderKey]:
        return {
            name: store.EncoderKey(
                name, {"name": name, "v": version if i == 1 else 0}, ("f0",) if i % 3 == 2 else ()
            )
            for i, name in enumerate(names)
        }

    sources = [store.SourceKey(f"clip{i:07d}", f"{i:064x}") for i in range(n_clips)]
    empty = empty_table()
    start = time.perf_counter()
    made = plan_table(empty, DATASET, sources, keys(0))
    print(f"plan: {len(made.cells)} new cells in {time.perf_counter() - start:.2f} s")
    table = empty_table()
    table.columns = {k: np.full(n_clips, "", object) for k in table.columns}
    table.columns["clip_id"] = np.array([s.clip_id for s in sources], object)
    table.columns["content"] = np.array([s.content for s in sources], object)
    prints: dict[str, list[str]] = {name: [] for name in names}
    for cell in made.cells:
        prints[cell.feature].append(cell.fingerprint)
    table.fingerprints = {name: np.array(values, object) for name, values in prints.items()}
    table.rejections = {name: np.full(n_clips, "", object) for name in names}
    table.row_of = {s.clip_id: i for i, s in enumerate(sources)}
    for label, version in (("unchanged", 0), ("one encoder changed", 1)):
        start = time.perf_counter()
        cells = plan_table(table, DATASET, sources, keys(version)).cells
        print(f"plan: {label}: {len(cells)} cells in {time.perf_counter() - start:.2f} s")


def wide_store(folder: Path) -> tuple[store.Snapshot, dict[str, int]]:
    """Twelve clips of four wide features."""
    dims = {"a": 768, "b": 768, "c": 240, "d": 10}
    features = {n: store.FeatureSchema(n, (d,), "float32", NAN) for n, d in dims.items()}
    cache = store.Cache.open(folder / "cache", create=True)
    random = np.random.default_rng(0)
    with cache.write(DATASET, features, "wide") as session:
        rows = [
            store.ClipRow(f"clip{i}", f"{i}", 500, dict.fromkeys(features, "0")) for i in range(12)
        ]
        session.allocate(rows)
        for row in rows:
            arrays = {n: random.normal(size=(500, d)).astype("f4") for n, d in dims.items()}
            session.write_clip(store.ClipWrite(row.clip_id, 500, arrays))
    return cache.snapshot(), dims


def window(n: int = 200) -> None:
    """Random windows of 32 frames x 4 features: store, plain zarr (256, dim), pack, memmap."""
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        snapshot, dims = wide_store(folder)
        picks = [(f"clip{random.integers(12)}", int(random.integers(500 - 32))) for _ in range(n)]
        plain = zarr.open_group(LocalStore(folder / "plain"), mode="w")
        arrays: dict[str, zarr.Array] = {}
        for feature, dim in dims.items():
            array = arrays[feature] = plain.create_array(
                feature, shape=(6000, dim), chunks=(256, dim), dtype="f4", fill_value=NAN
            )
            for i in range(12):
                array[i * 500 : i * 500 + 500] = snapshot.read(DATASET, feature, f"clip{i}")
        pack = store.pack(snapshot, DATASET, list(dims), folder / "packs")
        maps = {feature: np.load(pack.folder / f"{feature}.npy", mmap_mode="r") for feature in dims}

        def from_store() -> None:
            for clip, start in picks:
                for feature in dims:
                    snapshot.read(DATASET, feature, clip, start, start + 32)

        def from_store_together() -> None:
            for clip, start in picks:
                snapshot.read_many(DATASET, [(f, clip, start, start + 32) for f in dims])

        def from_plain() -> None:
            for clip, start in picks:
                first = int(clip[4:]) * 500 + start
                for array in arrays.values():
                    array[first : first + 32]

        def from_pack() -> None:
            for clip, start in picks:
                for feature in dims:
                    np.array(pack.window(feature, clip, start, 32))

        def from_map() -> None:
            for clip, start in picks:
                first = int(clip[4:]) * 500 + start
                for mapped in maps.values():
                    np.array(mapped[first : first + 32])

        rates = {}
        for run in (from_store, from_store_together, from_plain, from_pack, from_map):
            run()
            rates[run.__name__] = n / median_seconds(run, 5)
            print(f"window: {run.__name__}: {rates[run.__name__]:.0f} windows of 4 features/s")
        together = rates["from_store_together"] / rates["from_plain"]
        print(f"window: store, four features at once / plain zarr {together:.2f}")
        print(
            f"window: store / plain zarr {rates['from_store'] / rates['from_plain']:.2f}, "
            f"pack / memmap {rates['from_pack'] / rates['from_map']:.2f}"
        )


def pack() -> None:
    """Building a pack against copying the store's files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        snapshot, dims = wide_store(folder)
        source = Path(snapshot.location)
        size = folder_bytes(source)
        start = time.perf_counter()
        shutil.copytree(source, folder / "copy")
        copy = time.perf_counter() - start
        start = time.perf_counter()
        store.pack(snapshot, DATASET, list(dims), folder / "packs")
        built = time.perf_counter() - start
        print(
            f"pack: {size / 1e6:.0f} MB copied in {copy * 1e3:.0f} ms, packed in "
            f"{built * 1e3:.0f} ms: {copy / built:.2f} of the speed of copying"
        )


def codec() -> None:
    """Picture codecs on a photograph, at 256 and 512."""
    for size in (256, 512):
        photo = np.ascontiguousarray(astronaut()[:size, :size])
        for kind in ("jpeg", "jpegxl"):
            maker = store.ImageCodec(kind)
            data = maker.encode_picture(photo)
            back = maker.decode_picture(data).astype(float)
            error = float(np.mean((back - photo) ** 2))
            psnr = f"{10 * np.log10(255**2 / error):.1f} dB" if error else "exact"
            encode = median_seconds(lambda m=maker, p=photo: m.encode_picture(p), 21) * 1e3
            decode = median_seconds(lambda m=maker, d=data: m.decode_picture(d), 21) * 1e3
            print(
                f"codec: {kind} {size}: {len(data) / 1e3:.0f} kB, {encode:.1f} ms in, "
                f"{decode:.1f} ms out, {psnr}"
            )


PARTS = {"commit": commit, "plan": plan, "window": window, "pack": pack, "codec": codec}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
