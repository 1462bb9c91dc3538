"""A snapshot: a read-only view that travels between processes and opens itself where it lands."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import zarr

from store.columns import value_at
from store.errors import CellAbsentError, CellRejectedError, SchemaError, StoreError, WindowError
from store.hyperplanes import plane_scopes, read_planes
from store.layout import (
    dataset_names,
    feature_array,
    open_dataset,
    stored_features,
    token_array,
)
from store.location import open_repository, storage_of
from store.schema import CLIP_COLUMNS, FeatureSchema
from store.table import CellState, ClipTable, read_table
from store.versions import check_root
from store.windows import Window, WindowReader, read_windows

REMEMBERED_CELLS = 200_000
"""Places of valid cells kept per snapshot: some 30 MB."""


class Snapshot:
    """One state of the store, for ever the same.

    Picklable: only location and id travel; each process opens the repository for itself (a forked
    child that uses its parent's hangs, so use `spawn` or `forkserver`).
    """

    def __init__(self, location: str, id: str) -> None:
        """`location` as `Cache.location` gives it; `id` of an existing snapshot."""
        self.location = location
        self.id = id
        self._root: zarr.Group | None = None
        self._groups: dict[str, zarr.Group] = {}
        self._tables: dict[str, ClipTable] = {}
        self._readers: dict[tuple[str, str], WindowReader] = {}
        self._places: dict[tuple[str, str, str], tuple[int, int]] = {}

    def __reduce__(self) -> tuple[type["Snapshot"], tuple[str, str]]:
        """Pickle where to look and what for, nothing opened."""
        return Snapshot, (self.location, self.id)

    def __repr__(self) -> str:
        """Location and id."""
        return f"Snapshot({self.location!r}, {self.id!r})"

    @property
    def root(self) -> zarr.Group:
        """The zarr group of the whole snapshot, read-only."""
        if self._root is None:
            repository = open_repository(storage_of(self.location))
            session = repository.readonly_session(snapshot_id=self.id)
            try:
                self._root = zarr.open_group(session.store, mode="r")
            except FileNotFoundError as error:
                raise SchemaError(
                    f"{self.location} is an icechunk repository but not an emohead store: "
                    "give the folder of a store, or make one with create"
                ) from error
            check_root(self._root, self.location)
        return self._root

    def datasets(self) -> list[str]:
        """Names of the datasets."""
        return dataset_names(self.root)

    def has_dataset(self, dataset: str) -> bool:
        """True if the dataset is there."""
        return dataset in self.datasets()

    def features(self, dataset: str) -> dict[str, FeatureSchema]:
        """Schemas of the features of a dataset, by name."""
        return stored_features(self._group(dataset))

    def table(self, dataset: str) -> ClipTable:
        """Clips and cells of a dataset as vectors."""
        if dataset not in self._tables:
            self._tables[dataset] = read_table(self._group(dataset))
        return self._tables[dataset]

    def clips(self, dataset: str) -> pd.DataFrame:
        """One row a clip, in the order they came: the columns of the clip table, and `rejected`,
        JSON of {feature: reason}. The index is the clip id."""
        table = self.table(dataset)
        rows = np.array(sorted(table.row_of.values()), np.int64)
        frame = pd.DataFrame({name: table.columns[name][rows] for name in CLIP_COLUMNS})
        frame["rejected"] = [json.dumps(self._reasons(table, int(row))) for row in rows]
        return frame.set_index(pd.Index(table.columns["clip_id"][rows]))

    def cells(self, dataset: str) -> pd.DataFrame:
        """Index clip id, a column a feature: the fingerprint of a valid cell, else ""."""
        table = self.table(dataset)
        rows = np.array(sorted(table.row_of.values()), np.int64)
        columns = {}
        for feature in self.features(dataset):
            if feature in table.fingerprints:
                valid = table.rejections[feature][rows] == ""
                columns[feature] = np.where(valid, table.fingerprints[feature][rows], "")
            else:
                columns[feature] = np.full(len(rows), "", object)
        return pd.DataFrame(columns, index=pd.Index(table.columns["clip_id"][rows], name="clip_id"))

    def state(self, dataset: str, clip_id: str, feature: str) -> CellState:
        """State of a cell: "absent", "valid" or "rejected"."""
        table = self.table(dataset)
        return table.state(table.row(clip_id), feature)

    def rejected(self, dataset: str, clip_id: str) -> dict[str, str]:
        """Rejected features of a clip with their reasons."""
        table = self.table(dataset)
        return self._reasons(table, table.row(clip_id))

    def frames(self, dataset: str, clip_id: str) -> int:
        """Length of a clip in frames."""
        table = self.table(dataset)
        return int(table.value("frames", table.row(clip_id)))

    def read(
        self, dataset: str, feature: str, clip_id: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray:
        """Frames start..stop of a clip's feature, first axis frames.

        Raises CellAbsentError or CellRejectedError if the cell is not valid, WindowError if the
        window is not inside the clip.
        """
        return read_windows([self._window(dataset, feature, clip_id, start, stop)])[0]

    def read_many(
        self,
        dataset: str,
        windows: Sequence[tuple[str, str, int, int | None]],
        outs: Sequence[np.ndarray] | None = None,
    ) -> list[np.ndarray]:
        """Windows (feature, clip id, start, stop), fetched at once: many times faster than one by
        one, most of all on object storage. `outs`: arrays that the windows are written into.
        Raises what `read` raises."""
        into = outs if outs is not None else [None] * len(windows)
        pairs = zip(windows, into, strict=True)
        return read_windows([self._window(dataset, *window, out) for window, out in pairs])

    def tokens(self, dataset: str, feature: str, clip_id: str) -> np.ndarray:
        """Token table of a clip, float32 [n_tokens, dim]; `read` gives indices into it."""
        first, _ = self._valid(dataset, feature, clip_id)
        schema = self.features(dataset)[feature]
        if schema.token_dim is None:
            raise StoreError(f"{feature} is of kind {schema.kind}: it has no token table")
        table = self.table(dataset)
        count = int(value_at(table.token_counts, feature, table.row(clip_id)))
        key = (dataset, "tokens/" + feature)
        if key not in self._readers:
            self._readers[key] = WindowReader(token_array(self._group(dataset), feature))
        return self._readers[key].read(first, first + count)

    def hyperplanes(self, dataset: str, feature: str, scope: str) -> dict[str, Any] | None:
        """Arrays of a fit by name, its attributes under "attrs"; None if there is no such fit."""
        return read_planes(self._group(dataset), feature, scope)

    def hyperplane_scopes(self, dataset: str, feature: str) -> list[str]:
        """Scopes for which a fit on `feature` is stored."""
        return plane_scopes(self._group(dataset), feature)

    def _group(self, dataset: str) -> zarr.Group:
        if dataset not in self._groups:
            self._groups[dataset] = open_dataset(self.root, dataset)
        return self._groups[dataset]

    def _reader(self, dataset: str, feature: str) -> WindowReader:
        key = (dataset, feature)
        if key not in self._readers:
            self._readers[key] = WindowReader(feature_array(self._group(dataset), feature))
        return self._readers[key]

    def _window(
        self,
        dataset: str,
        feature: str,
        clip_id: str,
        start: int,
        stop: int | None,
        out: np.ndarray | None = None,
    ) -> Window:
        """Where a clip's window lies on the frame axis."""
        first, frames = self._valid(dataset, feature, clip_id)
        stop = frames if stop is None else stop
        if not 0 <= start <= stop <= frames:
            raise WindowError(
                f"frames {start}..{stop} of clip {clip_id} ({feature}) do not exist: "
                f"it has {frames} frames, so 0 <= start <= stop <= {frames}"
            )
        whole = start == 0 and stop == frames
        return Window(self._reader(dataset, feature), first + start, first + stop, out, whole)

    def _valid(self, dataset: str, feature: str, clip_id: str) -> tuple[int, int]:
        """First frame and length of a clip whose cell is valid."""
        key = (dataset, feature, clip_id)
        known = self._places.get(key)
        if known is None:
            if len(self._places) >= REMEMBERED_CELLS:
                self._places.clear()
            known = self._places[key] = self._look_up(dataset, feature, clip_id)
        return known

    def _look_up(self, dataset: str, feature: str, clip_id: str) -> tuple[int, int]:
        table = self.table(dataset)
        row = table.row(clip_id)
        table.load(row, ("first_frame", "frames"), (feature,))
        state = table.state(row, feature)
        if state == "rejected":
            raise CellRejectedError(
                f"{feature} of clip {clip_id} in {dataset} was rejected: "
                f"{table.reason_at(feature, row)}. Repair the clip, or leave it out"
            )
        if state == "absent":
            self._reader(dataset, feature)  # an unknown feature is another error
            raise CellAbsentError(
                f"{feature} of clip {clip_id} in {dataset} is absent in snapshot {self.id}: "
                f"run preprocessing with a profile that has {feature}, or pin a later snapshot"
            )
        return int(table.value("first_frame", row)), int(table.value("frames", row))

    @staticmethod
    def _reasons(table: ClipTable, row: int) -> dict[str, str]:
        reasons = {name: table.reason_at(name, row) for name in table.rejections}
        return {name: reason for name, reason in reasons.items() if reason}
