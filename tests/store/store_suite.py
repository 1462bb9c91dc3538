"""What every backend must do: a suite that a test class inherits, with its own `cache` fixture."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from store_kit import DATASET, assert_clip, encoder_keys, feature_schemas, ingest, make_clip

import store


class StoreSuite:
    """Write, read, plan, tag, refuse."""

    def test_what_is_written_reads_back(self, cache: store.Cache) -> None:
        clips = {"a": 5, "b": 300, "c": 128}
        ingest(cache, clips)
        snapshot = cache.snapshot()
        for name, frames in clips.items():
            assert_clip(snapshot, make_clip(name, frames))
        window = snapshot.read(DATASET, "audio/logmel", "b", 120, 152)
        expected = make_clip("b", 300).arrays["audio/logmel"][120:152]
        np.testing.assert_array_equal(window, expected)
        assert cache.validate(read_data=True).problems == []

    def test_the_second_plan_is_empty(self, cache: store.Cache) -> None:
        assert len(ingest(cache, {"a": 5, "b": 7}).cells) == 10
        before = cache.snapshot().id
        assert ingest(cache, {"a": 5, "b": 7}).cells == []
        assert cache.snapshot().id == before  # an empty session commits nothing

    def test_spawned_workers_write_forks_and_read_snapshots(self, cache: store.Cache) -> None:
        clips = {f"clip{i}": 20 + i for i in range(4)}
        cells = dict.fromkeys(feature_schemas(), "f" * 32)
        rows = [store.ClipRow(name, name, frames, cells) for name, frames in clips.items()]
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(2, mp_context=spawn) as pool:
            with cache.write(DATASET, feature_schemas(), "From workers") as session:
                jobs = [
                    pool.submit(store.write_clip, session.fork(batch), make_clip(name, clips[name]))
                    for batch in session.allocate(rows, max_clips=1)
                    for name in batch.clip_ids
                ]
                session.merge(*(job.result() for job in jobs))
            snapshot = cache.snapshot()
            for name, frames in clips.items():
                expected = make_clip(name, frames)
                assert_clip(snapshot, expected)
                there = pool.submit(snapshot.read, DATASET, "face/mar", name).result()
                np.testing.assert_array_equal(there, expected.arrays["face/mar"])

    def test_an_exception_commits_nothing(self, cache: store.Cache) -> None:
        before = cache.snapshot().id

        def interrupted() -> None:
            with cache.write(DATASET, feature_schemas(), "x") as session:
                cells = dict.fromkeys(feature_schemas(), "f")
                session.allocate([store.ClipRow("a", "a", 5, cells)])
                session.write_clip(make_clip("a", 5))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert cache.snapshot().id == before
        assert cache.datasets() == []

    def test_one_commit_with_its_metadata(self, cache: store.Cache) -> None:
        plan = ingest(cache, {"a": 5})
        first, *_ = cache.log()
        assert first.metadata["plan"] == plan.hash
        assert (first.metadata["clips_written"], first.metadata["cells_valid"]) == (1, 5)
        assert len(cache.log()) == 3  # the beginning, the store, the clip
        assert len(cache.log(limit=1)) == 1

    def test_a_pickled_snapshot_is_a_place_and_an_id(self, cache: store.Cache) -> None:
        ingest(cache, {"a": 5})
        snapshot = cache.snapshot()
        snapshot.read(DATASET, "face/mar", "a")
        assert len(pickle.dumps(snapshot)) < 300
        assert_clip(pickle.loads(pickle.dumps(snapshot)), make_clip("a", 5))
        assert_clip(pickle.loads(pickle.dumps(cache)).snapshot(), make_clip("a", 5))

    def test_a_changed_encoder_recomputes_in_place(self, cache: store.Cache) -> None:
        ingest(cache, {"a": 5, "b": 140})
        old = cache.snapshot()
        cache.tag("v1")
        changed = encoder_keys(**{"video/rgb": 2})
        plan = ingest(cache, {"a": 5, "b": 140}, encoders=changed, seed=1)
        assert {(c.feature, c.reason) for c in plan.cells} == {
            ("video/rgb", "changed encoder"),
            ("face/mar", "changed upstream"),
            ("parsing/selfie", "changed upstream"),
        }
        new = cache.snapshot()
        touched = ["video/rgb", "face/mar", "parsing/selfie"]
        assert_clip(new, make_clip("b", 140, 1, touched))
        assert_clip(new, make_clip("b", 140, 0, ["audio/logmel", "text/words"]))
        assert_clip(cache.snapshot("v1"), make_clip("b", 140))  # a release never changes
        assert_clip(old, make_clip("a", 5))
        assert list(new.clips(DATASET)["first_frame"]) == list(old.clips(DATASET)["first_frame"])
        assert cache.validate(read_data=True).problems == []

    def test_two_sessions_on_one_base_both_keep_their_clips(self, cache: store.Cache) -> None:
        ingest(cache, {"old": 10})
        cells = dict.fromkeys(feature_schemas(), "f" * 32)
        one = cache.write(DATASET, feature_schemas(), "one")
        two = cache.write(DATASET, feature_schemas(), "two")
        for session, name in ((one, "a"), (two, "b")):
            session.__enter__()
            session.allocate([store.ClipRow(name, name, 200, cells)])
            session.write_clip(make_clip(name, 200))
        one.__exit__(None, None, None)
        two.__exit__(None, None, None)
        snapshot = cache.snapshot()
        assert sorted(snapshot.clips(DATASET).index) == ["a", "b", "old"]
        for name, frames in {"a": 200, "b": 200, "old": 10}.items():
            assert_clip(snapshot, make_clip(name, frames))
        assert cache.validate(read_data=True).problems == []

    def test_a_store_is_kept_in_order(self, cache: store.Cache, tmp_path: Path) -> None:
        ingest(cache, {"a": 5, "b": 9})
        with cache.write(DATASET, {}, "fit") as session:
            session.put_hyperplanes("face/mar", "M003", {"w": np.ones(2)}, {}, ["a", "b"])
        cache.tag("v1")
        with cache.write(DATASET, {}, "remove, relabel") as session:
            session.remove_clips(["a"])
            session.update_rows([store.ClipRow("b", "content of b", 0, emotion="sad")])
        found = store.diff(cache.snapshot("v1"), cache.snapshot())
        assert {(entry.kind, entry.clip_id) for entry in found.entries} == {
            ("clip", "a"), ("label", "b"), ("hyperplanes", ""),
        }  # fmt: skip
        assert store.compact(cache, DATASET).blocks_after == 1
        assert store.migrate(cache).tag == ""
        done = store.export(cache.snapshot(), DATASET, tmp_path / "out", ["face/mar"])
        assert (done.clips, done.cells) == (1, 1)
        assert cache.untag("v1") != cache.snapshot().id
        assert cache.tags() == {}
        assert_clip(cache.snapshot(), make_clip("b", 9))
        assert cache.validate(read_data=True).problems == []
