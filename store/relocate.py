"""Carry a finished write session over to a store that moved on in the meantime.

Another writer committed while this session was computing, and may have been given the same
extents. Rebasing cannot help: both resized the same arrays. So the session's clips get new extents
at the new tip and their shards, which hold only one clip each, are copied there as they are,
undecoded. Costs the bytes written; happens only when two writers met.
"""

from collections.abc import Mapping
from dataclasses import replace as with_values

import icechunk
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from store.applying import drop_cells, stored_extent
from store.changes import Changes
from store.extents import Extent, allocate_extents
from store.fits import still_true
from store.fork import Slot, WrittenClip
from store.layout import (
    block_frames,
    erase,
    feature_array,
    frames_allocated,
    grow,
    open_dataset,
    require_dataset,
    require_features,
    shard_keys,
    token_array,
)
from store.schema import FeatureSchema
from store.table import ClipTable, read_table


def relocate(
    source: icechunk.Session,
    target: icechunk.Session,
    dataset: str,
    features: Mapping[str, FeatureSchema],
    replace: frozenset[str],
    base: ClipTable,
    changes: Changes,
) -> tuple[zarr.Group, ClipTable, Changes, list[str], list[tuple[str, str]]]:
    """Copy the frames of `changes` from `source` to `target`, a fresh session on the tip.

    Returns the target's dataset group, its table, the changes as they apply there, and what was
    dropped because the other writer changed or removed it: clips, and fits (feature, scope) made
    from such clips.
    """
    group = require_dataset(zarr.open_group(target.store, mode="r+"), dataset)
    replaced = require_features(group, features, replace)
    table = read_table(group)
    drop_cells(group, table, replaced)
    kept, superseded = _settle(base, table, changes)
    moved = [c for c in kept.written if kept.slots[c].extent is not None]
    fresh = [c for c in moved if not kept.slots[c].exact]
    extents, stop = allocate_extents(
        [kept.written[c].frames for c in fresh], frames_allocated(group), block_frames(group)
    )
    grow(group, stop)
    for clip_id, extent in zip(fresh, extents, strict=True):
        kept.slots[clip_id] = with_values(kept.slots[clip_id], extent=extent)
    origin = open_dataset(zarr.open_group(source.store, mode="r"), dataset) if moved else group
    for clip_id in moved:
        slot = kept.slots[clip_id]
        if slot.extent is not None:
            _copy_clip(
                origin,
                changes.slots[clip_id].extent,
                group,
                slot.extent,
                kept.written[clip_id],
                features,
            )
    kept.removed = [clip_id for clip_id in changes.removed if clip_id in table.row_of]
    kept.replaced, kept.encoders = {*changes.replaced, *replaced}, changes.encoders
    for clip_id, given in changes.updated.items():
        row = table.row_of.get(clip_id)
        if row is not None and table.value("content", row) == given.content:
            kept.updated[clip_id] = given
        else:
            superseded.append(clip_id)
    untrue = []
    for fit, planes in changes.planes.items():
        if still_true(base, table, planes, kept.written.keys()):
            kept.planes[fit] = planes
        else:
            untrue.append(fit)
    return group, table, kept, superseded, untrue


def _settle(base: ClipTable, tip: ClipTable, ours: Changes) -> tuple[Changes, list[str]]:
    """Which of our clips still apply at the tip, and in which slots."""
    kept = Changes()
    superseded = []
    for clip_id, written in ours.written.items():
        slot, given = ours.slots[clip_id], ours.rows[clip_id]
        before, now = _place(base, clip_id), _place(tip, clip_id)
        compacted = _only_moved(before, now)
        if now != before and not (compacted and not slot.exact):
            ours_elsewhere = compacted or (
                now is not None
                and now[0] == given.content
                and written.frames
                and now[2] in (0, written.frames)
            )
            if not ours_elsewhere:
                superseded.append(clip_id)
                continue
            extent = stored_extent(tip, tip.row_of[clip_id])
            if extent is not None:
                slot = Slot(clip_id, extent, True, slot.cells)
            else:
                slot = Slot(clip_id, Extent(0, written.frames), False, slot.cells)
        kept.rows[clip_id] = given
        kept.slots[clip_id] = slot
        kept.written[clip_id] = _without_equal_cells(base, tip, clip_id, slot, written)
    return kept, superseded


def _place(table: ClipTable, clip_id: str) -> tuple[str, int, int] | None:
    row = table.row_of.get(clip_id)
    if row is None:
        return None
    first, frames = int(table.value("first_frame", row)), int(table.value("frames", row))
    return table.value("content", row), first, frames


def _only_moved(before: tuple[str, int, int] | None, now: tuple[str, int, int] | None) -> bool:
    """Whether a clip is what it was, at another place (`store.compact` does that)."""
    if before is None or now is None or before[1] < 0 or now[1] < 0:
        return False
    return (before[0], before[2]) == (now[0], now[2]) and before[1] != now[1]


def _without_equal_cells(
    base: ClipTable, tip: ClipTable, clip_id: str, slot: Slot, written: WrittenClip
) -> WrittenClip:
    """Leave out the cells that the other writer has stored meanwhile as we would. (A cell that
    was equal before is one that was forced, to repair it perhaps: ours counts.)"""
    if not slot.exact:
        return written

    def equal(table: ClipTable, feature: str) -> bool:
        row = table.row_of.get(clip_id)
        return (
            row is not None
            and table.state(row, feature) == "valid"
            and table.print_at(feature, row) == slot.cells[feature]
        )

    new = [f for f in written.valid if not equal(tip, f) or equal(base, f)]
    counts = {feature: n for feature, n in written.token_counts.items() if feature in new}
    return with_values(written, valid=tuple(new), token_counts=counts)


def _copy_clip(
    origin: zarr.Group,
    from_: Extent | None,
    group: zarr.Group,
    to: Extent,
    written: WrittenClip,
    features: Mapping[str, FeatureSchema],
) -> None:
    if from_ is None:
        return
    span = Extent(from_.first, written.frames or from_.frames)
    for feature in written.valid:
        _copy_shards(
            origin, feature_array(origin, feature), span, group, feature_array(group, feature), to
        )
        if features[feature].token_dim is not None:
            _copy_shards(
                origin, token_array(origin, feature), span, group, token_array(group, feature), to
            )
    for feature in written.rejected:
        erase(group, feature_array(group, feature), to)
        if features[feature].token_dim is not None:
            erase(group, token_array(group, feature), to)


def _copy_shards(
    origin: zarr.Group,
    source: zarr.Array,
    from_: Extent,
    group: zarr.Group,
    target: zarr.Array,
    to: Extent,
) -> None:
    if source.metadata.to_dict()["codecs"] != target.metadata.to_dict()["codecs"]:
        # Two versions of emohead made the feature, each in its own form.
        target[to.first : to.first + from_.frames] = source[
            from_.first : from_.first + from_.frames
        ]
        return
    prototype = default_buffer_prototype()
    old, new = shard_keys(origin, source, from_), shard_keys(group, target, to)
    for old_key, new_key in zip(old, new, strict=True):
        data = sync(origin.store.get(old_key, prototype))
        if data is None:
            sync(group.store.delete(new_key))
        else:
            sync(group.store.set(new_key, data))
