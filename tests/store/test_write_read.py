"""The main road: write clips through forks, read them back, plan nothing the second time."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import store


def test_what_is_written_reads_back(cache, kit):
    kit.ingest(cache, {"a": 5, "b": 300, "c": 128})
    snapshot = cache.snapshot()
    for name, frames in {"a": 5, "b": 300, "c": 128}.items():
        kit.assert_clip(snapshot, kit.clip(name, frames))
    window = snapshot.read(kit.dataset, "audio/logmel", "b", 120, 152)
    np.testing.assert_array_equal(window, kit.clip("b", 300).arrays["audio/logmel"][120:152])


def test_the_second_plan_is_empty(cache, kit):
    assert len(kit.ingest(cache, {"a": 5, "b": 7}).cells) == 10
    before = cache.snapshot().id
    assert kit.ingest(cache, {"a": 5, "b": 7}).cells == []
    assert cache.snapshot().id == before  # an empty session commits nothing


def test_spawned_workers_write_forks_and_read_snapshots(cache, kit):
    clips = {f"clip{i}": 20 + i for i in range(4)}
    cells = dict.fromkeys(kit.schemas(), "f" * 32)
    rows = [store.ClipRow(name, name, frames, cells) for name, frames in clips.items()]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        with cache.write(kit.dataset, kit.schemas(), "From workers") as session:
            jobs = [
                pool.submit(store.write_clip, session.fork(batch), kit.clip(name, clips[name]))
                for batch in session.allocate(rows, max_clips=1)
                for name in batch.clip_ids
            ]
            session.merge(*(job.result() for job in jobs))
        snapshot = cache.snapshot()
        for name, frames in clips.items():
            expected = kit.clip(name, frames)
            kit.assert_clip(snapshot, expected)
            there = pool.submit(snapshot.read, kit.dataset, "face/mar", name).result()
            np.testing.assert_array_equal(there, expected.arrays["face/mar"])


def test_an_exception_commits_nothing(cache, kit):
    before = cache.snapshot().id
    with pytest.raises(KeyboardInterrupt), cache.write(kit.dataset, kit.schemas(), "x") as session:
        session.allocate([store.ClipRow("a", "a", 5, dict.fromkeys(kit.schemas(), "f"))])
        session.write_clip(kit.clip("a", 5))
        raise KeyboardInterrupt
    assert cache.snapshot().id == before
    assert cache.datasets() == []


def test_one_commit_with_its_metadata(cache, kit):
    plan = kit.ingest(cache, {"a": 5})
    first, *_ = cache.log()
    assert first.metadata["plan"] == plan.hash
    assert (first.metadata["clips_written"], first.metadata["cells_valid"]) == (1, 5)
    assert len(cache.log()) == 3  # the beginning, the store, the clip


def test_a_pickled_snapshot_is_a_place_and_an_id(cache, kit):
    kit.ingest(cache, {"a": 5})
    snapshot = cache.snapshot()
    snapshot.read(kit.dataset, "face/mar", "a")
    assert len(pickle.dumps(snapshot)) < 300
    kit.assert_clip(pickle.loads(pickle.dumps(snapshot)), kit.clip("a", 5))
    kit.assert_clip(pickle.loads(pickle.dumps(cache)).snapshot(), kit.clip("a", 5))
