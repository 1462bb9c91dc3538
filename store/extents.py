"""Who owns which stretch of the frame axis. Pure: no I/O.

The axis is cut into blocks; a block is the shard of every feature. Each clip gets whole blocks of
its own. So no shard is ever shared by two clips, whatever way clips are dealt to writers - shared
shards lose data silently (measured: 33 %). The unused tail of a last block is never written and
costs nothing.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Extent:
    """A clip's stretch of the frame axis."""

    first: int
    """First frame on the axis; a multiple of the block."""
    frames: int
    """Frames reserved."""


def blocks_of(extent: Extent, block: int) -> range:
    """Indices of the blocks that an extent owns."""
    return range(extent.first // block, -(-(extent.first + extent.frames) // block))


def allocate_extents(
    lengths: Sequence[int], next_frame: int, block: int
) -> tuple[list[Extent | None], int]:
    """An extent for each length (None for length 0), and the next free frame.

    `next_frame` is the first frame owned by nobody and a multiple of `block`; so is the result.
    """
    if block <= 0 or next_frame < 0 or next_frame % block:
        raise ValueError(f"next frame {next_frame} is not a multiple of the block {block}")
    extents: list[Extent | None] = []
    for length in lengths:
        if length < 0:
            raise ValueError(f"a clip cannot have {length} frames")
        extents.append(Extent(next_frame, length) if length else None)
        next_frame += -(-length // block) * block
    return extents, next_frame


def overlaps(extents: Sequence[Extent], block: int) -> list[tuple[int, int]]:
    """Pairs of positions whose extents share a block (each with its neighbour on the axis)."""
    order = sorted(range(len(extents)), key=lambda i: extents[i].first)
    pairs = []
    reach, owner = -1, -1
    for i in order:
        owned = blocks_of(extents[i], block)
        if len(owned) and owned.start < reach:
            pairs.append((owner, i))
        if owned.stop > reach:
            reach, owner = owned.stop, i
    return pairs


def into_batches(items: Sequence[Item], max_items: int) -> list[list[Item]]:
    """Consecutive groups of at most `max_items`, as even as can be."""
    if max_items < 1:
        raise ValueError(f"a batch of at most {max_items} clips holds none")
    if not items:
        return []
    n_batches = -(-len(items) // max_items)
    bounds = [len(items) * i // n_batches for i in range(n_batches + 1)]
    return [list(items[a:b]) for a, b in itertools.pairwise(bounds)]
