"""Rewrite the frame axis of a dataset without the holes that removed and replaced clips left.

A hole costs no bytes of data: its shards are deleted with its clip. It costs length of the axis, on
which manifests are split, and a free row of the clip table. Compaction moves each clip to the front
(shards as they are, undecoded), closes free rows, and shortens all arrays, in one commit. Older
snapshots stay as they were; until `gc` forgets them, every moved shard is stored twice.
"""

from dataclasses import asdict, dataclass
from typing import Any

import icechunk
import numpy as np
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from store.clip_index import rebuild_index
from store.errors import ConflictError
from store.extents import Extent, blocks_of
from store.layout import (
    block_frames,
    feature_array,
    frames_allocated,
    open_dataset,
    shard_keys,
    stored_features,
    token_array,
)
from store.location import commit_lock
from store.repository import Cache
from store.schema import SCHEMA_VERSION
from store.seals import seal
from store.table import ClipTable, read_table
from store.versions import check_writable, package_version

TRIES = 3
"""Attempts against other committers."""

TABLES = ("clips", "cells", "rejections", "token_counts")


@dataclass(frozen=True)
class Compaction:
    """What was done to a dataset."""

    dataset: str
    snapshot_id: str
    """Newest snapshot; the one before if nothing was to be done."""
    blocks_before: int
    """Blocks of the frame axis."""
    blocks_after: int
    rows_before: int
    """Rows of the clip table, free ones included."""
    rows_after: int
    clips_moved: int
    shards_moved: int
    bytes_moved: int
    """Written anew; what they replace is freed by `gc`."""

    @property
    def changed(self) -> bool:
        """False if there was no hole and no free row."""
        return self.blocks_before > self.blocks_after or self.rows_before > self.rows_after

    def summary(self) -> str:
        """The compaction in words."""
        if not self.changed:
            return (
                f"{self.dataset}: no holes in {self.blocks_before} blocks and {self.rows_before} "
                "rows; nothing to do"
            )
        return (
            f"{self.dataset}: {self.blocks_before} -> {self.blocks_after} blocks, "
            f"{self.rows_before} -> {self.rows_after} rows; {self.clips_moved} clips "
            f"({self.shards_moved} shards, {self.bytes_moved} bytes) moved; "
            f"snapshot {self.snapshot_id}. `gc` frees the old places"
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def compact(cache: Cache, dataset: str) -> Compaction:
    """Close the holes of a dataset; raises UnknownError, SchemaError, ConflictError."""
    repository = cache.repository
    for _ in range(TRIES):
        session = repository.writable_session("main")
        root = zarr.open_group(session.store, mode="r+")
        check_writable(root, cache.location)
        group = open_dataset(root, dataset)
        # Shards and rows are read from the base, so that no move can overwrite what another needs.
        base = repository.readonly_session(snapshot_id=session.snapshot_id)
        origin = open_dataset(zarr.open_group(base.store, mode="r"), dataset)
        done = _compact(origin, group, dataset, session.snapshot_id)
        if not done.changed:
            return done
        metadata = {
            **{name: value for name, value in done.to_json().items() if name != "snapshot_id"},
            "emohead": package_version(),
            "schema_version": SCHEMA_VERSION,
        }
        with commit_lock(cache.location):
            if repository.lookup_branch("main") != session.snapshot_id:
                continue
            try:
                snapshot_id = session.commit(f"Compact {dataset}", metadata)
            except icechunk.ConflictError:
                continue
            seal(cache.location, repository, snapshot_id)
        return Compaction(**{**done.to_json(), "snapshot_id": snapshot_id})
    raise ConflictError(
        f"{cache.location}: {TRIES} times another writer committed during the compaction; nothing "
        "was changed, run it when nobody writes"
    )


def _compact(origin: zarr.Group, group: zarr.Group, dataset: str, base_id: str) -> Compaction:
    table = read_table(origin)
    block = block_frames(origin)
    rows = np.array(sorted(table.row_of.values()), np.int64)
    moves, blocks_after = _moves(table, rows, block)
    blocks_before, rows_before = frames_allocated(origin) // block, table.rows
    moved = {row: (old, new) for row, old, new in moves if old.first != new.first}
    shards = size = 0
    if blocks_before > blocks_after or rows_before > len(rows):
        for name, schema in stored_features(origin).items():
            finders = [feature_array, *([token_array] if schema.token_dim is not None else [])]
            for find in finders:
                source, target = find(origin, name), find(group, name)
                n, n_bytes = _move(origin, source, group, target, list(moved.values()))
                shards, size = shards + n, size + n_bytes
                # What a clip left lies behind its new end: another clip's, deleted there, or here.
                target.resize((blocks_after * block, *target.shape[1:]))
        first = table.columns["first_frame"].copy()
        for row, (_, new) in moved.items():
            first[row] = new.first
        _close_rows(origin, group, rows, first)
        group.attrs["frames_allocated"] = blocks_after * block
    return Compaction(
        dataset,
        base_id,
        blocks_before,
        blocks_after,
        rows_before,
        len(rows),
        len(moved),
        shards,
        size,
    )


def _moves(
    table: ClipTable, rows: np.ndarray, block: int
) -> tuple[list[tuple[int, Extent, Extent]], int]:
    """(row, old extent, new extent) of every placed clip, in the order of the axis; blocks used."""
    first, frames = table.columns["first_frame"], table.columns["frames"]
    placed = [row for row in rows.tolist() if first[row] >= 0]
    moves, next_block = [], 0
    for row in sorted(placed, key=lambda row: int(first[row])):
        old = Extent(int(first[row]), int(frames[row]))
        moves.append((row, old, Extent(next_block * block, old.frames)))
        next_block += len(blocks_of(old, block))
    return moves, next_block


def _move(
    origin: zarr.Group,
    source: zarr.Array,
    group: zarr.Group,
    target: zarr.Array,
    moves: list[tuple[Extent, Extent]],
) -> tuple[int, int]:
    """Copy the shards of moved clips; a place whose clip has no data is emptied. Returns shards
    and bytes."""
    prototype = default_buffer_prototype()
    shards = size = 0
    for old, new in moves:
        for old_key, new_key in zip(
            shard_keys(origin, source, old), shard_keys(group, target, new), strict=True
        ):
            data = sync(origin.store.get(old_key, prototype))
            if data is None:
                sync(group.store.delete(new_key))
            else:
                sync(group.store.set(new_key, data))
                shards, size = shards + 1, size + len(data)
    return shards, size


def _close_rows(
    origin: zarr.Group, group: zarr.Group, rows: np.ndarray, first_frame: np.ndarray
) -> None:
    """Write every column of the clip table without its free rows, in the same order."""
    for folder in TABLES:
        found = origin.get(folder)
        if not isinstance(found, zarr.Group):
            continue
        for name, array in found.members(max_depth=None):
            if not isinstance(array, zarr.Array):
                continue
            path = f"{folder}/{name}"
            values = first_frame if path == "clips/first_frame" else np.asarray(array[:])
            # A column may be shorter than the table: what it lacks was never written.
            kept = rows[rows < len(values)]
            target = group[path]
            if not isinstance(target, zarr.Array):
                raise TypeError(f"{path} is not an array")
            target.resize((len(kept),))
            if len(kept):
                target[:] = values[kept]
    # Rows have other numbers now.
    stored = origin["clips/clip_id"]
    if not isinstance(stored, zarr.Array):
        raise TypeError("clips/clip_id is not an array")
    ids = np.asarray(stored[:])[rows].tolist()
    rebuild_index(group, {str(clip_id): row for row, clip_id in enumerate(ids)})
