"""Changes of a write session applied to the clip table, cells and hyperplanes of a group."""

import json
from typing import Any

import zarr

from store.changes import Changes
from store.clip_index import update_index
from store.encoders import record_encoder
from store.errors import UnknownError
from store.extents import Extent
from store.fits import drop_fits
from store.fork import WrittenClip
from store.hyperplanes import write_planes
from store.layout import erase, feature_array, stored_features, token_array
from store.schema import (
    CELL_COLUMN,
    CLIP_COLUMNS,
    TOKEN_COUNT_COLUMN,
    ClipRow,
    Column,
    cells_path,
    column_path,
    rejections_path,
    token_counts_path,
)
from store.table import ClipTable, cell_columns, free_rows, write_rows


class _Updates:
    """Values to write, gathered per column so that each chunk is touched once."""

    def __init__(self) -> None:
        self.columns: dict[str, tuple[Column, dict[int, str | int]]] = {}

    def put(self, path: str, column: Column, row: int, value: str | int) -> None:
        self.columns.setdefault(path, (column, {}))[1][row] = value


def stored_extent(table: ClipTable, row: int) -> Extent | None:
    """The extent that a row owns."""
    first, frames = int(table.value("first_frame", row)), int(table.value("frames", row))
    return Extent(first, frames) if first >= 0 else None


def erase_everywhere(group: zarr.Group, extent: Extent) -> None:
    """Forget what every feature holds in an extent."""
    for name, schema in stored_features(group).items():
        erase(group, feature_array(group, name), extent)
        if schema.token_dim is not None:
            erase(group, token_array(group, name), extent)


def apply_changes(group: zarr.Group, table: ClipTable, changes: Changes) -> list[tuple[str, str]]:
    """Bring clip table, cells and hyperplanes of `group` (whose table is `table`) up to date.
    The frames are already there. Returns the fits (feature, scope) that were deleted because what
    they were made from changed."""
    dropped = drop_fits(group, table, changes)
    updates = _Updates()
    schemas = stored_features(group)
    rows = table.rows
    # In the order of allocation: forks come back in any order, and the same work must give the
    # same table.
    order = [clip_id for clip_id in changes.rows if clip_id in changes.written]
    new = [clip_id for clip_id in order if clip_id not in table.row_of]
    added = dict(zip(new, free_rows(table, len(new)), strict=True))
    for clip_id in order:
        row = added[clip_id] if clip_id in added else table.row_of[clip_id]
        written = changes.written[clip_id]
        rows = max(rows, row + 1)
        _put_clip(updates, group, table, row, changes.rows[clip_id], written, changes)
    for clip_id, given in changes.updated.items():
        for name, value in given.columns().items():
            updates.put(column_path(name), CLIP_COLUMNS[name], table.row_of[clip_id], value)
    for clip_id in changes.removed:
        if clip_id not in table.row_of:
            raise UnknownError(f"cannot remove clip {clip_id}: the dataset does not have it")
        _remove(updates, group, table, table.row_of[clip_id])
    if updates.columns:
        tokens = [name for name, schema in schemas.items() if schema.token_dim is not None]
        for path, column in cell_columns(schemas, tokens).items():
            updates.columns.setdefault(path, (column, {}))  # all columns are as long as the table
        removed = {clip_id: table.row_of[clip_id] for clip_id in changes.removed}

        def clips_after() -> dict[str, int]:
            return {c: r for c, r in {**table.row_of, **added}.items() if c not in removed}

        update_index(group, added, removed, clips_after)
        write_rows(group, rows, updates.columns)
    made = {f for clip in changes.written.values() for f in (*clip.valid, *clip.rejected)}
    for feature in made & changes.encoders.keys():
        record_encoder(group, changes.encoders[feature])
    for (feature, scope), planes in changes.planes.items():
        write_planes(group, feature, scope, planes)
    return [fit for fit in dropped if fit not in changes.planes]


def _put_clip(
    updates: _Updates,
    group: zarr.Group,
    table: ClipTable,
    row: int,
    given: ClipRow,
    written: WrittenClip,
    changes: Changes,
) -> None:
    slot = changes.slots[written.clip_id]
    facts: dict[str, Any] = {}
    known = written.clip_id in table.row_of
    if known and table.value("content", row) == given.content:
        facts = json.loads(table.value("facts", row) or "{}")
    elif known:  # other content: nothing that was stored of the clip holds any more
        _clear_cells(updates, table, row)
        old = stored_extent(table, row)
        if old is not None:
            erase_everywhere(group, old)
    values: dict[str, str | int] = dict(given.columns())
    frames = slot.extent.frames if slot.exact and slot.extent is not None else written.frames
    values["frames"] = frames
    values["first_frame"] = slot.extent.first if slot.extent is not None and frames else -1
    reasons = sorted(set(written.rejected.values()))
    values["rejection"] = "; ".join(reasons) if not frames else ""
    values["facts"] = json.dumps({**facts, **written.facts}, allow_nan=False, ensure_ascii=False)
    for name, value in values.items():
        updates.put(column_path(name), CLIP_COLUMNS[name], row, value)
    for feature in (*written.valid, *written.rejected):
        updates.put(cells_path(feature), CELL_COLUMN, row, slot.cells[feature])
        reason = written.rejected.get(feature, "")
        updates.put(rejections_path(feature), CELL_COLUMN, row, reason)
    for feature, count in written.token_counts.items():
        updates.put(token_counts_path(feature), TOKEN_COUNT_COLUMN, row, count)


def _clear_cells(updates: _Updates, table: ClipTable, row: int) -> None:
    for feature in table.fingerprints:
        updates.put(cells_path(feature), CELL_COLUMN, row, "")
        updates.put(rejections_path(feature), CELL_COLUMN, row, "")
    for feature in table.token_counts:
        updates.put(token_counts_path(feature), TOKEN_COUNT_COLUMN, row, -1)


def _remove(updates: _Updates, group: zarr.Group, table: ClipTable, row: int) -> None:
    _clear_cells(updates, table, row)
    for name, column in CLIP_COLUMNS.items():
        updates.put(column_path(name), column, row, column.fill)
    extent = stored_extent(table, row)
    if extent is not None:
        erase_everywhere(group, extent)


def drop_cells(group: zarr.Group, table: ClipTable, features: list[str]) -> None:
    """Make every cell of features absent, in the store and in `table`: their array is new."""
    for feature in features:
        for path in (cells_path(feature), rejections_path(feature), token_counts_path(feature)):
            if path in group:
                del group[path]
        for columns in (table.fingerprints, table.rejections, table.token_counts):
            if feature in columns:
                del columns[feature]
