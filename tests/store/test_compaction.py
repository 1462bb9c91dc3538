"""Compaction closes holes and changes nothing that can be read."""

import datetime
from pathlib import Path

import numpy as np
import pytest
import zarr
from store_kit import DATASET, assert_clip, encoder_keys, feature_schemas, ingest, make_clip

import store
from store import compaction
from store.layout import feature_array, frames_allocated, open_dataset

CLIPS = {"a": 5, "b": 140, "c": 128, "d": 1, "e": 130}


def with_holes(cache: store.Cache) -> dict[str, int]:
    """Removed, replaced and rejected clips; what is left, with its frames. `e`, whose logmel is
    rejected, moves to where `b` has data."""
    ingest(cache, CLIPS)
    ingest(cache, CLIPS, contents={"c": "other"}, seed=1)  # c moves to the end
    with cache.write(DATASET, {}, "remove") as session:
        session.remove_clips(["a", "d"])
    silent = store.ClipWrite("e", 130, rejected={"audio/logmel": "no sound"})
    with cache.write(DATASET, feature_schemas(), "reject") as session:
        session.allocate([store.ClipRow("e", "content of e", 0, {"audio/logmel": "x"})])
        session.write_clip(silent)
    with cache.write(DATASET, {}, "fit") as session:
        arrays = {"w": np.ones(2)}
        session.put_hyperplanes("face/mar", "pooled", arrays, {}, ["b", "e"], ["face/mar"])
    return {"b": 140, "c": 128, "e": 130}


def assert_left(snapshot: store.Snapshot) -> None:
    rest = [name for name in feature_schemas() if name != "audio/logmel"]
    assert_clip(snapshot, make_clip("e", 130, 0, rest))
    assert_clip(snapshot, make_clip("c", 128, 1))
    assert_clip(snapshot, make_clip("b", 140))
    assert snapshot.rejected(DATASET, "e") == {"audio/logmel": "no sound"}
    assert snapshot.hyperplane_scopes(DATASET, "face/mar") == ["pooled"]


def test_holes_close_and_nothing_that_reads_changes(cache: store.Cache) -> None:
    left = with_holes(cache)
    before = cache.snapshot()
    group = open_dataset(before.root, DATASET)
    assert frames_allocated(group) == 8 * 128  # a 1, b 2, c 1, d 1, e 2; c again 1
    done = store.compact(cache, DATASET)
    assert (done.blocks_before, done.blocks_after) == (8, 5)
    assert (done.rows_before, done.rows_after) == (5, 3)
    assert done.clips_moved == 3
    assert done.bytes_moved > 0
    assert done.summary().startswith("demo: 8 -> 5 blocks, 5 -> 3 rows; 3 clips (")
    after = store.Cache.open(cache.location).snapshot()
    assert after.id == done.snapshot_id
    for snapshot in (before, after):
        assert_left(snapshot)
    assert cache.validate(read_data=True).problems == []
    assert sorted(after.clips(DATASET).index) == sorted(left)
    assert store.diff(before, after).entries == []
    compacted = open_dataset(after.root, DATASET)
    assert frames_allocated(compacted) == 5 * 128
    assert feature_array(compacted, "face/mar").shape == (5 * 128,)
    again = store.compact(cache, DATASET)
    assert not again.changed
    assert again.snapshot_id == done.snapshot_id
    assert again.summary() == "demo: no holes in 5 blocks and 3 rows; nothing to do"
    chunks = Path(cache.location, "chunks")
    size = sum(path.stat().st_size for path in chunks.iterdir())
    cache._collect(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1), expire=True)
    assert sum(path.stat().st_size for path in chunks.iterdir()) < size
    assert_left(store.Cache.open(cache.location).snapshot())


def test_what_lay_behind_the_end_does_not_come_back(cache: store.Cache) -> None:
    with_holes(cache)
    store.compact(cache, DATASET)
    # The axis grows over the places that the moved clips left: they read as never written.
    with cache.write(DATASET, feature_schemas(), "grow") as session:
        cells = {"face/mar": "f" * 32}
        session.allocate([store.ClipRow("new", "1", 500, cells)])
        session.write_clip(make_clip("new", 500, 0, ["face/mar"]))
    snapshot = cache.snapshot()
    assert_clip(snapshot, make_clip("new", 500, 0, ["face/mar"]))
    first = int(snapshot.clips(DATASET).loc["new", "first_frame"])
    group = open_dataset(snapshot.root, DATASET)
    assert first == 5 * 128
    logmel = np.asarray(feature_array(group, "audio/logmel")[first : first + 500])
    assert np.isnan(logmel).all()
    assert_left(snapshot)
    assert cache.validate(read_data=True).problems == []


def test_a_dataset_without_a_clip_left_shrinks_to_nothing(cache: store.Cache) -> None:
    ingest(cache, {"a": 5})
    with cache.write(DATASET, {}, "remove") as session:
        session.remove_clips(["a"])
    done = store.compact(cache, DATASET)
    assert (done.blocks_after, done.rows_after, done.clips_moved) == (0, 0, 0)
    assert cache.validate(read_data=True).problems == []
    ingest(cache, {"z": 20})
    assert_clip(cache.snapshot(), make_clip("z", 20))
    with pytest.raises(store.UnknownError, match="no dataset 'x'"):
        store.compact(cache, "x")


def test_a_session_that_began_before_commits_after(cache: store.Cache) -> None:
    with_holes(cache)
    session = cache.write(DATASET, feature_schemas(), "slow")
    session.__enter__()
    mar = {"face/mar": "e" * 32}
    session.allocate(
        [
            store.ClipRow("e", "content of e", 0, mar),
            store.ClipRow("late", "1", 140, mar),
            store.ClipRow("c", "newer", 20, mar),
        ]
    )
    session.write_clip(make_clip("e", 130, 7, ["face/mar"]))
    session.write_clip(make_clip("late", 140, 7, ["face/mar"]))
    session.write_clip(make_clip("c", 20, 7, ["face/mar"]))  # other content, as long as it was not
    store.compact(cache, DATASET)
    session.__exit__(None, None, None)
    assert session.superseded == []
    snapshot = cache.snapshot()
    assert_clip(snapshot, make_clip("e", 130, 7, ["face/mar"]))
    assert_clip(snapshot, make_clip("late", 140, 7, ["face/mar"]))
    assert_clip(snapshot, make_clip("e", 130, 0, ["text/words", "video/rgb"]))
    assert_clip(snapshot, make_clip("c", 20, 7, ["face/mar"]))
    assert snapshot.state(DATASET, "c", "audio/logmel") == "absent"
    assert cache.validate(read_data=True).problems == []


def test_a_writer_that_commits_meanwhile_is_waited_for(
    cache: store.Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_holes(cache)
    work = compaction._compact
    met: list[int] = []

    def meets(*arguments: zarr.Group) -> compaction.Compaction:
        done = work(*arguments)  # pyright: ignore[reportArgumentType]
        if len(met) < 1:
            met.append(1)
            ingest(cache, {"f": 30})
        return done

    monkeypatch.setattr(compaction, "_compact", meets)
    done = store.compact(cache, DATASET)
    assert (done.blocks_before, done.blocks_after) == (9, 6)
    assert_clip(cache.snapshot(), make_clip("f", 30))
    assert_left(cache.snapshot())
    assert cache.validate(read_data=True).problems == []
    assert ingest(cache, {"f": 30}, encoders=encoder_keys()).cells == []


def test_writers_that_never_stop_are_named(
    cache: store.Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_holes(cache)
    work = compaction._compact

    def meets(*arguments: zarr.Group) -> compaction.Compaction:
        done = work(*arguments)  # pyright: ignore[reportArgumentType]
        with cache.write(DATASET, {}, "again") as session:
            session.update_rows([store.ClipRow("e", "content of e", 0)])
        return done

    monkeypatch.setattr(compaction, "_compact", meets)
    monkeypatch.setattr(compaction, "TRIES", 1)
    with pytest.raises(store.ConflictError, match="1 times another writer committed"):
        store.compact(cache, DATASET)
    assert_left(cache.snapshot())
