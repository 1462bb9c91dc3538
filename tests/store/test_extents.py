"""Ownership of the frame axis: nothing overlaps, no shard has two owners."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.extents import Extent, allocate_extents, blocks_of, into_batches, overlaps

lengths = st.lists(st.integers(0, 700), max_size=30)
blocks = st.integers(1, 256)


def test_extents_by_hand() -> None:
    extents, stop = allocate_extents([5, 0, 128, 129], 256, 128)
    assert extents == [Extent(256, 5), None, Extent(384, 128), Extent(512, 129)]
    assert stop == 768
    assert list(blocks_of(Extent(512, 129), 128)) == [4, 5]


@given(lengths, lengths, blocks)
def test_no_block_has_two_owners(before: list[int], after: list[int], block: int) -> None:
    first, stop = allocate_extents(before, 0, block)
    second, end = allocate_extents(after, stop, block)
    owned = [b for e in first + second if e is not None for b in blocks_of(e, block)]
    assert len(owned) == len(set(owned))
    assert max(owned, default=-1) < end // block
    assert end % block == 0


@given(lengths, st.integers(1, 9), blocks)
def test_no_shard_is_shared_by_two_batches(frames: list[int], size: int, block: int) -> None:
    extents, _ = allocate_extents(frames, 0, block)
    batches = into_batches([e for e in extents if e is not None], size)
    owners = [{b for e in batch for b in blocks_of(e, block)} for batch in batches]
    assert sum(map(len, owners)) == len(set().union(*owners))


@given(st.lists(st.integers(), max_size=40), st.integers(1, 9))
def test_batches_keep_order_and_size(items: list[int], size: int) -> None:
    batches = into_batches(items, size)
    assert [item for batch in batches for item in batch] == items
    assert all(1 <= len(batch) <= size for batch in batches)
    assert len({len(batch) for batch in batches}) <= 2


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5)), max_size=12))
def test_overlaps_finds_a_pair_exactly_if_there_is_one(spans: list[tuple[int, int]]) -> None:
    extents = [Extent(first * 4, frames) for first, frames in spans]
    owned = [set(blocks_of(extent, 4)) for extent in extents]
    shared = any(owned[i] & owned[j] for i in range(len(owned)) for j in range(i))
    found = overlaps(extents, 4)
    assert bool(found) == shared
    assert all(owned[a] & owned[b] for a, b in found)


def test_a_crooked_start_is_refused() -> None:
    with pytest.raises(ValueError, match="next frame 5 is not a multiple of the block 128"):
        allocate_extents([1], 5, 128)


def test_neighbours_are_not_overlaps() -> None:
    extents = [Extent(128 * i, 128) for i in range(5)]
    assert overlaps(extents, 128) == []
    assert all(a.first + a.frames == b.first for a, b in pairwise(extents))
