"""Figures of the store: commit, plan, read, pack, codec. Run: `python benchmarks/store_figures.py`.

Each part prints its own lines and can be named as an argument: commit plan window pack images
codec.
Baselines run in turns with what they are held against, in the same process: ratios (medians over
the turns) hold on a busy machine where times do not. Growth with the clips: `store_scale.py`.
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


def in_turns(runs: dict[str, Callable[[], object]], turns: int = 9) -> dict[str, list[float]]:
    """Seconds of each run, turn by turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(turns):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def ratio(times: dict[str, list[float]], name: str, base: str) -> str:
    """How many times faster than `base`: median over the turns, and the range."""
    each = np.array(times[base]) / np.array(times[name])
    return f"{np.median(each):.2f} ({each.min():.2f} to {each.max():.2f})"


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

        def from_store_batches() -> None:
            for at in range(0, n, 16):
                some = picks[at : at + 16]
                windows = [(f, clip, start, start + 32) for clip, start in some for f in dims]
                snapshot.read_many(DATASET, windows)

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

        runs = (
            from_store,
            from_store_together,
            from_store_batches,
            from_plain,
            from_pack,
            from_map,
        )
        times = in_turns({run.__name__: run for run in runs})
        for name_, seconds in times.items():
            print(f"window: {name_}: {n / np.median(seconds):.0f} windows of 4 features/s")
        together, batches, pack_ = "from_store_together", "from_store_batches", "from_pack"
        print(f"window: store, 16 at once / plain zarr {ratio(times, batches, 'from_plain')}")
        print(
            f"window: store, 4 features at once / plain zarr {ratio(times, together, 'from_plain')}"
        )
        print(f"window: store, one by one / plain zarr {ratio(times, 'from_store', 'from_plain')}")
        print(f"window: pack / memmap {ratio(times, pack_, 'from_map')}")


def pack() -> None:
    """Building a pack against copying the store's files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        snapshot, dims = wide_store(folder)
        source = Path(snapshot.location)
        size = folder_bytes(source)
        made = iter(range(1000))

        def copied() -> None:
            shutil.copytree(source, folder / f"copy{next(made)}")

        def packed() -> None:
            store.pack(snapshot, DATASET, list(dims), folder / f"packs{next(made)}")

        times = in_turns({"copied": copied, "packed": packed}, turns=11)
        print(
            f"pack: {size / 1e6:.0f} MB copied in {np.median(times['copied']) * 1e3:.0f} ms, "
            f"packed in {np.median(times['packed']) * 1e3:.0f} ms; packing / copying "
            f"{ratio(times, 'packed', 'copied')}"
        )


def images(n: int = 96, batch: int = 8) -> None:
    """Random batches of pictures: from the per-frame codec, and from a pack of decoded ones."""
    photo = astronaut()
    name = "video/rgb"
    for size in (256, 512):
        features = {name: store.FeatureSchema(name, (size, size, 3), "uint8", 0, codec="image")}
        random = np.random.default_rng(2)
        with tempfile.TemporaryDirectory() as folder_:
            folder = Path(folder_)
            cache = store.Cache.open(folder / "cache", create=True)
            with cache.write(DATASET, features, "pictures") as session:
                session.allocate([store.ClipRow("clip", "1", n, {name: "0"})])
                frames = np.stack([np.roll(photo[:size, :size], 3 * i, axis=1) for i in range(n)])
                session.write_clip(store.ClipWrite("clip", n, {name: frames}))
            snapshot = cache.snapshot()
            start = time.perf_counter()
            pack_ = store.pack(snapshot, DATASET, [name], folder / "packs")
            built = time.perf_counter() - start
            picks = random.integers(n, size=(10, batch))

            def decoded(snapshot: store.Snapshot = snapshot, picks: np.ndarray = picks) -> None:
                for some in picks:
                    windows = [(name, "clip", int(i), int(i) + 1) for i in some]
                    np.concatenate(snapshot.read_many(DATASET, windows))

            def mapped(pack_: store.Pack = pack_, picks: np.ndarray = picks) -> None:
                for some in picks:
                    pack_.array(name)[some]

            times = in_turns({"decoded": decoded, "mapped": mapped}, turns=5)
            each = {k: float(np.median(v)) / picks.size * 1e3 for k, v in times.items()}
            stored = folder_bytes(folder / "cache" / "chunks") / n
            print(
                f"images: {size}: decode {each['decoded']:.2f} ms a frame, pack "
                f"{each['mapped']:.3f} ms: pack {ratio(times, 'mapped', 'decoded')} x; built at "
                f"{built / n * 1e3:.2f} ms a frame; {stored / 1e3:.0f} kB a frame in the store, "
                f"{frames[0].nbytes / 1e3:.0f} kB in the pack"
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


PARTS = {
    "commit": commit,
    "plan": plan,
    "window": window,
    "pack": pack,
    "images": images,
    "codec": codec,
}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
