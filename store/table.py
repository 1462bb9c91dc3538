"""The clip table and the cells of a dataset: read as vectors, written row by row."""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import zarr

from store.errors import UnknownError
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

CellState = Literal["absent", "valid", "rejected"]


class LazyColumns(MutableMapping[str, np.ndarray]):
    """Vectors by name, each read when it is first looked at: most uses need a few of many."""

    def __init__(self, loaders: Mapping[str, Callable[[], np.ndarray]]) -> None:
        """`loaders`: name -> what reads the vector."""
        self._loaders = dict(loaders)
        self._loaded: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        """The vector, read now if it was not yet."""
        if name not in self._loaded:
            self._loaded[name] = self._loaders[name]()
        return self._loaded[name]

    def __setitem__(self, name: str, values: np.ndarray) -> None:
        """Put a vector in place."""
        self._loaders[name] = lambda: values
        self._loaded[name] = values

    def __delitem__(self, name: str) -> None:
        """Forget a vector."""
        del self._loaders[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        """Names."""
        return iter(self._loaders)

    def __len__(self) -> int:
        """Number of vectors."""
        return len(self._loaders)


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
    row_of: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        """Index the rows in use."""
        ids = self.columns["clip_id"]
        self.row_of = {clip_id: row for row, clip_id in enumerate(ids) if clip_id}

    @property
    def rows(self) -> int:
        """Rows, free ones included."""
        return len(self.columns["clip_id"])

    def row(self, clip_id: str) -> int:
        """Row of a clip; raises UnknownError."""
        try:
            return self.row_of[clip_id]
        except KeyError:
            raise UnknownError(
                f"no clip {clip_id!r} among the {len(self.row_of)} clips of this snapshot"
            ) from None

    def state(self, row: int, feature: str) -> CellState:
        """State of one cell."""
        prints = self.fingerprints.get(feature)
        if prints is None or not prints[row]:
            return "absent"
        return "rejected" if self.rejections[feature][row] else "valid"

    def values(self, row: int) -> dict[str, Any]:
        """Clip columns of one row."""
        return {name: column[row] for name, column in self.columns.items()}


EMPTY_TABLE_COLUMNS = {
    name: np.empty(0, object if column.dtype == "str" else column.dtype)
    for name, column in CLIP_COLUMNS.items()
}


def empty_table() -> ClipTable:
    """The table of a dataset that is not there yet."""
    return ClipTable(dict(EMPTY_TABLE_COLUMNS), {}, {}, {})


def read_table(group: zarr.Group) -> ClipTable:
    """The table of a dataset: clip ids now, every other column when it is looked at."""
    found = group.get(column_path("clip_id"))
    if not isinstance(found, zarr.Array):
        return empty_table()
    rows = found.shape[0]

    def loader(array: Any, column: Column) -> Callable[[], np.ndarray]:
        return lambda: _read(array, column, rows)

    arrays = _arrays(group, "clips")
    columns = {name: loader(arrays.get(name), column) for name, column in CLIP_COLUMNS.items()}
    folders = {
        "cells": CELL_COLUMN,
        "rejections": CELL_COLUMN,
        "token_counts": TOKEN_COUNT_COLUMN,
    }
    cells = [
        LazyColumns({name: loader(array, column) for name, array in _arrays(group, folder).items()})
        for folder, column in folders.items()
    ]
    return ClipTable(LazyColumns(columns), *cells)


def _arrays(group: zarr.Group, folder: str) -> dict[str, zarr.Array]:
    found = group.get(folder)
    if not isinstance(found, zarr.Group):
        return {}
    arrays = {n: a for n, a in found.members(max_depth=None) if isinstance(a, zarr.Array)}
    return dict(sorted(arrays.items()))


def _read(array: Any, column: Column, rows: int) -> np.ndarray:
    """A column as long as the table: what a column lacks at its end was never written."""
    dtype = object if column.dtype == "str" else np.dtype(column.dtype)
    values = np.full(rows, column.fill, dtype)
    if isinstance(array, zarr.Array) and array.shape[0]:
        values[: array.shape[0]] = np.asarray(array[:]).astype(dtype)
    return values


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
    free = [int(row) for row in np.flatnonzero(table.columns["clip_id"] == "")][:wanted]
    return [*free, *range(table.rows, table.rows + wanted - len(free))]
