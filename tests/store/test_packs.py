"""A pack holds what the store holds, bit for bit, and is built safely."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from store_kit import DATASET, feature_schemas, ingest, make_clip

import store

CLIPS = {"a": 5, "b": 140, "c": 30}


def test_a_pack_equals_the_store_bit_for_bit(cache: store.Cache, tmp_path: Path) -> None:
    ingest(cache, CLIPS)
    snapshot = cache.snapshot()
    pack = store.pack(snapshot, DATASET, list(feature_schemas()), tmp_path / "packs")
    assert set(pack.features) == set(snapshot.features(DATASET))
    for clip_id, frames in CLIPS.items():
        for feature in feature_schemas():
            stored = snapshot.read(DATASET, feature, clip_id)
            packed = pack.window(feature, clip_id, 0, frames)
            assert packed.dtype == stored.dtype
            assert packed.tobytes() == stored.tobytes()
        tokens = snapshot.tokens(DATASET, "text/words", clip_id)
        np.testing.assert_array_equal(pack.tokens("text/words", clip_id), tokens)
    table = pack.clips
    assert list(table["first"]) == [0, 5, 145]
    assert list(table["identity"]) == ["M003"] * 3
    assert pack.array("face/mar").shape == (175,)
    assert not pack.array("face/mar").flags.writeable
    window = pack.window("audio/logmel", "b", 100, 32)
    assert window.base is not None  # a view
    np.testing.assert_array_equal(window, make_clip("b", 140).arrays["audio/logmel"][100:132])


def test_a_pack_is_built_once_and_named_by_its_content(cache: store.Cache, tmp_path: Path) -> None:
    ingest(cache, CLIPS)
    one = store.pack(cache.snapshot(), DATASET, ["face/mar"], tmp_path)
    built = (one.folder / "pack.json").stat().st_mtime_ns
    again = store.pack(cache.snapshot(), DATASET, ["face/mar"], tmp_path)
    assert again.folder == one.folder
    assert (one.folder / "pack.json").stat().st_mtime_ns == built
    assert store.pack(cache.snapshot(), DATASET, ["face/mar"], tmp_path, ["a"]).folder != one.folder
    ingest(cache, CLIPS, force=["face/mar"], seed=3)
    newer = store.pack(cache.snapshot(), DATASET, ["face/mar"], tmp_path)
    assert newer.folder != one.folder
    assert newer.snapshot_id == cache.snapshot().id


def test_two_processes_build_at_once_and_read_in_spawned_workers(
    cache: store.Cache, tmp_path: Path
) -> None:
    ingest(cache, CLIPS)
    snapshot = cache.snapshot()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        jobs = [
            pool.submit(store.pack, snapshot, DATASET, ["video/rgb", "face/mar"], tmp_path)
            for _ in range(2)
        ]
        one, two = (job.result() for job in jobs)
        assert one.folder == two.folder
        there = pool.submit(one.window, "face/mar", "b", 7, 9).result()
    np.testing.assert_array_equal(there, make_clip("b", 140).arrays["face/mar"][7:16])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert len(pickle.dumps(one)) < 300


def test_incomplete_clips_are_left_out_by_name(cache: store.Cache, tmp_path: Path) -> None:
    cells = dict.fromkeys(feature_schemas(), "f" * 32)
    with cache.write(DATASET, feature_schemas(), "write") as session:
        session.allocate([store.ClipRow(name, "1", 9, cells) for name in ("full", "silent")])
        session.write_clip(make_clip("full", 9))
        silent = make_clip("silent", 9, 0, ["face/mar"])
        session.write_clip(replace(silent, rejected={"audio/logmel": "no audio"}))
    features = ["face/mar", "audio/logmel"]
    pack = store.pack(cache.snapshot(), DATASET, features, tmp_path)
    assert list(pack.clips.index) == ["full"]
    assert pack.skipped == {"silent": {"audio/logmel": "rejected"}}
    with pytest.raises(store.UnknownError, match=r"'silent' is not in .*audio/logmel"):
        pack.window("face/mar", "silent", 0, 1)
    with pytest.raises(store.CellError, match="silent cannot be packed: audio/logmel is rejected"):
        store.pack(cache.snapshot(), DATASET, features, tmp_path, ["silent"])
    with pytest.raises(store.WindowError, match="it has 9 frames"):
        pack.window("face/mar", "full", 0, 10)
    with pytest.raises(store.UnknownError, match="has no feature 'x'"):
        pack.window("x", "full", 0, 1)
    with cache.write(DATASET, {}, "remove") as session:
        session.remove_clips(["full"])
    with pytest.raises(store.PackError, match=r"no clip of demo .* has all of face/mar"):
        store.pack(cache.snapshot(), DATASET, features, tmp_path)


def test_a_build_that_died_leaves_no_pack_and_is_swept(cache: store.Cache, tmp_path: Path) -> None:
    ingest(cache, CLIPS)
    left = tmp_path / ".building-0123-dead"
    left.mkdir()
    (left / "face__mar.npy").write_bytes(b"half")
    long_ago = time.time() - 3 * 24 * 3600
    os.utime(left, (long_ago, long_ago))
    store.pack(cache.snapshot(), DATASET, ["face/mar"], tmp_path)
    assert not left.exists()
    with pytest.raises(store.PackError, match="is not a pack"):
        store.Pack(tmp_path)


def test_the_longest_unused_packs_are_evicted_and_built_again(
    cache: store.Cache, tmp_path: Path
) -> None:
    ingest(cache, CLIPS)
    snapshot, base = cache.snapshot(), tmp_path / "packs"
    names = ["face/mar", "audio/logmel", "text/words"]
    folders = {}
    for age, name in enumerate(names):
        folders[name] = store.pack(snapshot, DATASET, [name], base).folder
        os.utime(folders[name] / ".used", (1000 + age, 1000 + age))
    held = store.Pack(folders["face/mar"])  # the oldest, but in use now
    os.utime(folders["face/mar"] / ".used", (1000, 1000))
    size = sum(f.stat().st_size for folder in folders.values() for f in folder.iterdir())
    assert store.evict(base, size) == []
    assert store.evict(base, size - 1) == [folders["audio/logmel"]]
    assert sorted(p.name for p in base.iterdir()) == sorted(
        folders[n].name for n in ("face/mar", "text/words")
    )
    assert store.evict(base, 0) == [folders["text/words"]]
    np.testing.assert_array_equal(
        held.window("face/mar", "a", 0, 5), make_clip("a", 5).arrays["face/mar"]
    )
    again = store.pack(snapshot, DATASET, ["audio/logmel"], base)
    assert again.folder == folders["audio/logmel"]
    del held
    assert store.evict(
        base,
        0,
    ) == [folders["face/mar"]]
    assert again.array("audio/logmel").shape == (175, 2, 240)
    with pytest.raises(store.PackError, match="is not a folder of packs"):
        store.evict(tmp_path / "nowhere", 0)


def test_a_pack_open_in_another_process_stays(cache: store.Cache, tmp_path: Path) -> None:
    ingest(cache, CLIPS)
    built = store.pack(cache.snapshot(), DATASET, ["face/mar"], tmp_path / "packs")
    folder = built.folder
    del built
    code = f"import store, sys; p = store.Pack({str(folder)!r}); print('open', flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        assert store.evict(folder.parent, 0) == []
        child.kill()  # the lock goes with the process
    assert store.evict(folder.parent, 0) == [folder]
