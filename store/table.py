"""The clip table and the cells of a dataset: read as vectors, written row by row."""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from store.clip_index import ClipIndex, open_index
from store.columns import LazyColumns, StoredColumn, load, value_at
from store.errors import CorruptionError, UnknownError
from store.schema import (
    CELL_COLUMN,
    CLIP_COLUMNS,
    TOKEN_COUNT_COLUMN,
    Column,
    cells_path,
    column_path,
    rejections_path,
    token_counts_path,
)

MANY = 64
"""Clips looked up one by one, by the index, before all ids are read instead."""

CellState = Literal["absent", "valid", "rejected"]


class RowIndex(Mapping[str, int]):
    """Clip -> row. Asked for a clip, it looks into the stored index; asked for all, or for a clip
    that the index does not have, it reads all clip ids."""

    def __init__(
        self, columns: Mapping[str, np.ndarray], index: Callable[[], ClipIndex | None]
    ) -> None:
        """`index`: opens the stored index, if there is one."""
        self._columns, self._open = columns, index
        self._all: dict[str, int] | None = None
        self._found: dict[str, int] = {}

    @cached_property
    def index(self) -> ClipIndex | None:
        """The stored index."""
        return self._open()

    def everything(self) -> dict[str, int]:
        """All clips with their rows."""
        if self._all is None:
            ids = self._columns["clip_id"].tolist()
            self._all = {clip_id: row for row, clip_id in enumerate(ids) if clip_id}
        return self._all

    def __getitem__(self, clip_id: str) -> int:
        """Row of a clip."""
        if clip_id in self._found:
            return self._found[clip_id]
        if self._all is None and len(self._found) < MANY:
            try:
                row = self._indexed(clip_id)
            except CorruptionError:  # of the index: the ids themselves tell, or fail in their turn
                row = None
            if row is not None:
                self._found[clip_id] = row
                return row
        return self.everything()[clip_id]

    def _indexed(self, clip_id: str) -> int | None:
        """The row by the stored index; None if that cannot tell. Raises KeyError."""
        if self.index is None:
            return None
        candidates = self.index.candidates(clip_id)
        for row in candidates:
            if value_at(self._columns, "clip_id", row) == clip_id:
                return row
        if not candidates and self.index.clips == self._rows:  # no row is free or unknown to it
            raise KeyError(clip_id)
        return None

    @property
    def _rows(self) -> int | None:
        column = self._columns.stored("clip_id") if isinstance(self._columns, LazyColumns) else None
        return None if column is None else column.rows

    def __iter__(self) -> Iterator[str]:
        """Clips, in the order of their rows."""
        return iter(self.everything())

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.everything())


@dataclass
class ClipTable:
    """Columns of a dataset as vectors over rows (free rows have clip_id "")."""

    columns: MutableMapping[str, np.ndarray]
    """Clip columns by name (text as object arrays)."""
    fingerprints: MutableMapping[str, np.ndarray]
    """Feature -> fingerprint per row; "" where never computed."""
    rejections: MutableMapping[str, np.ndarray]
    """Feature -> rejection reason per row; "" where not rejected."""
    token_counts: MutableMapping[str, np.ndarray]
    """Token-index feature -> rows of its token table that the clip uses; -1 where none."""
    index: Callable[[], ClipIndex | None] = lambda: None
    """Opens the stored index of clip ids."""
    row_of: Mapping[str, int] = field(init=False)
    """Clip -> row. Looking up one clip reads little; going through it reads all ids."""

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self.row_of = RowIndex(self.columns, self.index)

    @property
    def rows(self) -> int:
        """Rows, free ones included."""
        columns = self.columns
        stored = columns.stored("clip_id") if isinstance(columns, LazyColumns) else None
        return len(columns["clip_id"]) if stored is None else stored.rows

    def row(self, clip_id: str) -> int:
        """Row of a clip; raises UnknownError."""
        try:
            return self.row_of[clip_id]
        except KeyError:
            raise UnknownError(
                f"no clip {clip_id!r} among the {len(self.row_of)} clips of this snapshot"
            ) from None

    def value(self, name: str, row: int) -> Any:
        """A clip column at one row; reads no more than the chunk that holds it."""
        return value_at(self.columns, name, row)

    def print_at(self, feature: str, row: int) -> str:
        """Fingerprint of one cell, "" if it was never computed."""
        there = feature in self.fingerprints
        return value_at(self.fingerprints, feature, row) if there else ""

    def reason_at(self, feature: str, row: int) -> str:
        """Rejection reason of one cell, "" if it is not rejected."""
        there = feature in self.rejections
        return value_at(self.rejections, feature, row) if there else ""

    def state(self, row: int, feature: str) -> CellState:
        """State of one cell."""
        if not self.print_at(feature, row):
            return "absent"
        return "rejected" if self.reason_at(feature, row) else "valid"

    def values(self, row: int) -> dict[str, Any]:
        """Clip columns of one row."""
        return {name: self.value(name, row) for name in self.columns}

    def load(self, row: int, columns: Iterable[str] = (), features: Iterable[str] = ()) -> None:
        """Fetch at once what lies of a row in these clip columns, and in the cells of features."""
        wanted = [(self.columns, name) for name in columns]
        for name in features:
            wanted += [(self.fingerprints, name), (self.rejections, name)]
        stored = [c.stored(name) for c, name in wanted if isinstance(c, LazyColumns)]
        load([(column, row // column.rows_per_chunk) for column in stored if column is not None])


EMPTY_TABLE_COLUMNS = {
    name: np.empty(0, object if column.dtype == "str" else column.dtype)
    for name, column in CLIP_COLUMNS.items()
}


def empty_table() -> ClipTable:
    """The table of a dataset that is not there yet."""
    return ClipTable(dict(EMPTY_TABLE_COLUMNS), {}, {}, {})


def read_table(group: zarr.Group) -> ClipTable:
    """The table of a dataset: every column is read when it is looked at."""
    found = group.get(column_path("clip_id"))
    if not isinstance(found, zarr.Array):
        return empty_table()
    rows = found.shape[0]

    def clip_column(name: str) -> StoredColumn | None:
        if name not in CLIP_COLUMNS:
            return None
        array = found if name == "clip_id" else group.get(column_path(name))
        stored = array if isinstance(array, zarr.Array) else None
        return StoredColumn(stored, CLIP_COLUMNS[name], rows)

    def clip_columns() -> dict[str, StoredColumn]:
        columns = {name: clip_column(name) for name in CLIP_COLUMNS}
        return {name: column for name, column in columns.items() if column is not None}

    def cells(folder: str, column: Column) -> LazyColumns:
        def one(name: str) -> StoredColumn | None:
            array = group.get(f"{folder}/{name}")
            return StoredColumn(array, column, rows) if isinstance(array, zarr.Array) else None

        def listed() -> dict[str, StoredColumn]:
            arrays = _arrays(group, folder).items()
            return {name: StoredColumn(array, column, rows) for name, array in arrays}

        return LazyColumns(one, listed)

    return ClipTable(
        LazyColumns(clip_column, clip_columns),
        cells("cells", CELL_COLUMN),
        cells("rejections", CELL_COLUMN),
        cells("token_counts", TOKEN_COUNT_COLUMN),
        lambda: open_index(group),
    )


def _arrays(group: zarr.Group, folder: str) -> dict[str, zarr.Array]:
    found = group.get(folder)
    if not isinstance(found, zarr.Group):
        return {}
    arrays = {n: a for n, a in found.members(max_depth=None) if isinstance(a, zarr.Array)}
    return dict(sorted(arrays.items()))


def cell_columns(features: Iterable[str], token_features: Iterable[str]) -> dict[str, Column]:
    """Paths of the cell columns of features."""
    paths = {}
    for name in features:
        paths[cells_path(name)] = CELL_COLUMN
        paths[rejections_path(name)] = CELL_COLUMN
    for name in token_features:
        paths[token_counts_path(name)] = TOKEN_COUNT_COLUMN
    return paths


def write_rows(
    group: zarr.Group,
    rows: int,
    updates: Mapping[str, tuple[Column, Mapping[int, str | int]]],
) -> None:
    """Write `updates` (path -> column, row -> value) into a table of `rows` rows."""
    for path, (column, values) in updates.items():
        array = group.get(path)
        if not isinstance(array, zarr.Array):
            group.require_group(path.rsplit("/", 1)[0])
            array = group.create_array(
                path,
                shape=(rows,),
                dtype=str if column.dtype == "str" else column.dtype,
                chunks=(column.rows_per_chunk,),
                fill_value=column.fill,
                # A flipped bit in a fingerprint or a label would decode: the checksum finds it.
                compressors=[ZstdCodec(), Crc32cCodec()],
                dimension_names=["clip"],
            )
        if array.shape[0] < rows:
            array.resize((rows,))
        _write_values(array, values)


def _write_values(array: zarr.Array, values: Mapping[int, str | int]) -> None:
    """Read, change and write each touched chunk once."""
    size = array.chunks[0]
    order = np.array(sorted(values), np.int64)
    for chunk in np.unique(order // size):
        start, stop = int(chunk) * size, min((int(chunk) + 1) * size, array.shape[0])
        touched = order[order // size == chunk]
        if len(touched) == stop - start:
            part = np.empty(stop - start, array.dtype)
        else:
            part = np.array(array[start:stop])
        for row in touched:
            part[row - start] = values[int(row)]
        array[start:stop] = part


def free_rows(table: ClipTable, wanted: int) -> Sequence[int]:
    """Rows for `wanted` new clips: free ones first, then new ones at the end."""
    free: list[int] = []
    index = table.row_of.index if isinstance(table.row_of, RowIndex) else None
    if index is None or index.clips != table.rows:  # else every row is in use: nothing to look for
        free = [int(row) for row in np.flatnonzero(table.columns["clip_id"] == "")][:wanted]
    return [*free, *range(table.rows, table.rows + wanted - len(free))]
