"""Columns of the clip table as they lie in the store: whole vectors, or the chunk of one row."""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np
import zarr

from store.pieces import codec_of, fetch
from store.schema import Column


class StoredColumn:
    """One column, read when it is looked at."""

    def __init__(self, array: zarr.Array | None, column: Column, rows: int) -> None:
        """`array`: None for a column that was never written; `rows`: rows of the table, which the
        array may not have all: what it lacks at its end was never written."""
        self.array, self.column, self.rows = array, column, rows
        self.dtype = np.dtype(object if column.dtype == "str" else column.dtype)
        self._codec = None if array is None else codec_of(array)
        self._stored = 0 if array is None else array.shape[0]
        self.rows_per_chunk = column.rows_per_chunk if array is None else array.chunks[0]
        self._chunks: dict[int, np.ndarray | None] = {}

    def missing(self, chunk: int) -> str | None:
        """Key of a chunk that is to be fetched; None if it is known."""
        if self.array is None or self._codec is None or chunk in self._chunks:
            return None
        if chunk * self.rows_per_chunk >= self._stored:
            return None
        return f"{self.array.path}/{self.array.metadata.encode_chunk_key((chunk,))}"

    def put(self, chunk: int, data: np.ndarray | None) -> None:
        """Take a fetched chunk."""
        decode = None if self._codec is None else self._codec.decode
        self._chunks[chunk] = None if data is None or decode is None else decode(data)

    def at(self, row: int) -> Any:
        """The value of one row; reads its chunk if that is not known."""
        chunk, place = divmod(row, self.rows_per_chunk)
        if row >= self._stored or self.array is None:
            return self.column.fill
        if self._codec is None:
            return np.asarray(self.array[row : row + 1])[0]
        if chunk not in self._chunks:
            load([(self, chunk)])
        values = self._chunks[chunk]
        return self.column.fill if values is None else values[place]

    def all(self) -> np.ndarray:
        """All rows."""
        values = np.full(self.rows, self.column.fill, self.dtype)
        if self.array is None or not self._stored:
            return values
        if self._codec is None:
            values[: self._stored] = np.asarray(self.array[:]).astype(self.dtype)
            return values
        n = self.rows_per_chunk
        chunks = range(-(-self._stored // n))
        load([(self, chunk) for chunk in chunks])
        for chunk in chunks:
            part = self._chunks[chunk]
            if part is not None:
                stop = min((chunk + 1) * n, self._stored)
                values[chunk * n : stop] = part[: stop - chunk * n]
        self._chunks.clear()  # the caller keeps the whole
        return values


def load(wanted: Iterable[tuple[StoredColumn, int]]) -> None:
    """Fetch chunks of columns, all at once."""
    asks = [(column, chunk, column.missing(chunk)) for column, chunk in wanted]
    lacking = [(column, chunk, key) for column, chunk, key in asks if key is not None]
    if not lacking:
        return
    array = lacking[0][0].array
    if array is None:
        return
    found = fetch(array.store, [(key, None) for _, _, key in lacking])
    for (column, chunk, _), data in zip(lacking, found, strict=True):
        column.put(chunk, data)


class LazyColumns(MutableMapping[str, np.ndarray]):
    """Vectors by name, each opened and read when it is first looked at: most uses need a few of
    many, and of these one row."""

    def __init__(
        self,
        open_: Callable[[str], StoredColumn | None],
        list_: Callable[[], Mapping[str, StoredColumn]],
    ) -> None:
        """`open_`: opens a stored vector, None if there is none; `list_`: opens them all."""
        self._open, self._list = open_, list_
        self._listed = False
        self._opened: dict[str, StoredColumn | None] = {}
        self._vectors: dict[str, np.ndarray] = {}

    def stored(self, name: str) -> StoredColumn | None:
        """The column; None if there is none, or if it lies in memory whole."""
        if name in self._vectors:
            return None
        if name not in self._opened:
            self._opened[name] = None if self._listed else self._open(name)
        return self._opened[name]

    def __getitem__(self, name: str) -> np.ndarray:
        """The vector, read now if it was not yet."""
        if name not in self._vectors:
            column = self.stored(name)
            if column is None:
                raise KeyError(name)
            self._vectors[name] = column.all()
        return self._vectors[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is such a vector; reads none."""
        return isinstance(name, str) and (name in self._vectors or self.stored(name) is not None)

    def __setitem__(self, name: str, values: np.ndarray) -> None:
        """Put a vector in place."""
        self._vectors[name] = values

    def __delitem__(self, name: str) -> None:
        """Forget a vector."""
        if name not in self:
            raise KeyError(name)
        self._vectors.pop(name, None)
        self._opened[name] = None

    def __iter__(self) -> Iterator[str]:
        """Names: the stored ones in the order of the listing."""
        if not self._listed:
            self._opened = {**self._list(), **self._opened}
            self._listed = True
        there = [name for name, column in self._opened.items() if column is not None]
        return iter(dict.fromkeys([*there, *self._vectors]))

    def __len__(self) -> int:
        """Number of vectors."""
        return sum(1 for _ in self)


def value_at(columns: Mapping[str, np.ndarray], name: str, row: int) -> Any:
    """One value of a column: from memory if the vector is there, else from its chunk."""
    column = columns.stored(name) if isinstance(columns, LazyColumns) else None
    return columns[name][row] if column is None else column.at(row)
