"""The index of clips: it finds what is there, changes few pages, and is only ever a hint."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from store_kit import DATASET, assert_clip, ingest, make_clip
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import MemoryStore

import store
from store import clip_index
from store.clip_index import PAGE, PATH, hash_of, open_index, update_index
from store.table import read_table


def demo(cache: store.Cache) -> zarr.Group:
    group = cache.snapshot().root[DATASET]
    assert isinstance(group, zarr.Group)
    return group


def index_of(group: zarr.Group) -> clip_index.ClipIndex:
    index = open_index(group)
    assert index is not None
    return index


histories = st.lists(
    st.tuples(st.integers(0, 900), st.integers(0, 300), st.integers(0, 2**30)), max_size=6
)


@settings(deadline=None, max_examples=10)
@given(histories)
def test_any_history_is_found_again(history: list[tuple[int, int, int]]) -> None:
    group = zarr.create_group(MemoryStore())
    rows: dict[str, int] = {}
    made = 0
    for add, remove, seed in history:
        added = {f"clip{i}": i for i in range(made, made + add)}
        made += add
        gone = np.random.default_rng(seed).permutation(sorted(rows))[:remove]
        removed = {str(c): rows.pop(str(c)) for c in gone}
        rows |= added
        update_index(group, added, removed, lambda: dict(rows))  # noqa: B023
        index = index_of(group)
        assert index.clips == len(rows)
        assert index.array.shape[0] * clip_index.FULL >= len(rows)
        for clip_id, row in rows.items():
            assert row in index.candidates(clip_id)
        for clip_id, row in removed.items():
            assert row not in index.candidates(clip_id)


def test_clips_of_one_hash_share_a_page_and_are_told_apart(
    cache: store.Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_index, "hash_of", lambda clip_id: 7 << 28)
    ingest(cache, {"a": 5, "b": 6, "c": 7})
    snapshot = cache.snapshot()
    assert index_of(demo(cache)).candidates("b") == [0, 1, 2]
    assert [snapshot.frames(DATASET, c) for c in ("c", "a", "b")] == [7, 5, 6]
    with pytest.raises(store.UnknownError, match="no clip 'd' among the 3 clips"):
        snapshot.frames(DATASET, "d")


def test_one_clip_changes_one_page() -> None:
    group = zarr.create_group(MemoryStore())
    rows = {f"clip{i}": i for i in range(4000)}
    update_index(group, rows, {}, lambda: rows)
    before = np.asarray(index_of(group).array[:])
    assert len(before) == 8 * PAGE
    update_index(group, {"new": 4000}, {"clip7": 7}, dict)
    after = np.asarray(index_of(group).array[:])
    pages = np.unique(np.flatnonzero(before != after) // PAGE)
    assert set(pages.tolist()) == {hash_of("new") >> 29, hash_of("clip7") >> 29}


def test_a_page_that_would_overflow_doubles_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    group = zarr.create_group(MemoryStore())
    rows = {f"clip{i}": i for i in range(1400)}  # 2 pages
    update_index(group, rows, {}, lambda: rows)
    assert index_of(group).array.shape[0] == 2 * PAGE
    hashes = dict(zip((f"x{i}" for i in range(100)), range(100), strict=True))
    crowd = {name: 2000 + i for name, i in hashes.items()}
    plain = clip_index.hash_of
    monkeypatch.setattr(clip_index, "hash_of", lambda c: hashes.get(c, plain(c)))
    monkeypatch.setattr(clip_index, "PAGE", PAGE)
    monkeypatch.setattr(clip_index, "FULL", 2.0)  # only the page itself can overflow
    more = {f"clip{i}": i for i in range(1400, 2000)}
    update_index(group, {**more, **crowd}, {}, lambda: {**rows, **more, **crowd})
    assert index_of(group).array.shape[0] == 4 * PAGE
    assert index_of(group).candidates("x99") == [2099]


def test_a_store_without_an_index_reads_and_gets_one(cache: store.Cache) -> None:
    ingest(cache, {"a": 5, "b": 140})
    session = cache.repository.writable_session("main")
    del zarr.open_group(session.store)[f"{DATASET}/{PATH}"]
    session.commit("as the first stores were")
    assert_clip(cache.snapshot(), make_clip("b", 140))
    ingest(cache, {"a": 5, "b": 140, "c": 9})
    assert index_of(demo(cache)).clips == 3
    for clip_id, frames in {"a": 5, "b": 140, "c": 9}.items():
        assert_clip(cache.snapshot(), make_clip(clip_id, frames))


def test_a_wrong_or_damaged_index_misleads_nobody(cache: store.Cache) -> None:
    ingest(cache, {"a": 5, "b": 140})
    session = cache.repository.writable_session("main")
    root = zarr.open_group(session.store)
    array = root[f"{DATASET}/{PATH}"]
    assert isinstance(array, zarr.Array)
    entries = np.asarray(array[:])
    array[:] = np.where(entries > 0, entries ^ np.uint64(3), 0).astype(np.uint64)  # rows swapped
    array.attrs["clips"] = 1
    session.commit("another program's doing")
    assert_clip(cache.snapshot(), make_clip("a", 5))
    assert_clip(cache.snapshot(), make_clip("b", 140))


def test_a_flipped_byte_in_the_index_is_noticed_and_mended(cache: store.Cache) -> None:
    with cache.write(DATASET, {}, "rows") as session:
        session.allocate([store.ClipRow(f"x{i}", "1", 0) for i in range(300)])
        for i in range(300):
            session.write_clip(store.ClipWrite(f"x{i}", 0))
    writable = cache.repository.writable_session("main")
    key, prototype = f"{DATASET}/{PATH}/c/0", default_buffer_prototype()
    found = sync(writable.store.get(key, prototype))
    assert found is not None
    raw = bytearray(found.to_bytes())
    raw[len(raw) // 2] ^= 4
    sync(writable.store.set(key, prototype.buffer.from_bytes(bytes(raw))))
    writable.commit("a flipped byte")
    index = index_of(demo(cache))
    with pytest.raises(store.CorruptionError, match="index/clip_id: a piece does not match"):
        index.candidates("x7")
    assert cache.snapshot().frames(DATASET, "x7") == 0  # found in the ids themselves
    with cache.write(DATASET, {}, "one more") as session:
        session.allocate([store.ClipRow("y", "1", 0)])
        session.write_clip(store.ClipWrite("y", 0))
    table = read_table(demo(cache))
    index = index_of(demo(cache))
    assert index.clips == len(table.row_of) == 301
    assert all(table.row_of[c] in index.candidates(c) for c in table.row_of)
