"""Which clips and cells differ between two snapshots, and why, in words."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import zarr

from store.cell_differences import cell_differences
from store.encoders import stored_encoders
from store.hyperplanes import fit_origin, read_planes, stored_fits
from store.layout import open_dataset
from store.read import Snapshot
from store.row_facts import LABEL_COLUMNS
from store.table import ClipTable

Kind = Literal["dataset", "feature", "clip", "label", "cell", "hyperplanes"]

EXAMPLES = 3
"""Clips that a summary names of each group."""


class Difference(NamedTuple):
    """One thing that differs."""

    dataset: str
    kind: Kind
    clip_id: str
    """"" if it is not of one clip."""
    name: str
    """Feature of a cell, column of a label, `feature/scope` of hyperplanes; else ""."""
    what: str
    """What happened to it, and why."""


@dataclass(frozen=True)
class Diff:
    """All that differs between two snapshots, dataset by dataset."""

    before: str
    """Snapshot id."""
    after: str
    """Snapshot id."""
    entries: list[Difference]

    def groups(self) -> dict[tuple[str, Kind, str, str], list[str]]:
        """(dataset, kind, name, what) -> the clips it is true of, in order of the entries."""
        groups: dict[tuple[str, Kind, str, str], list[str]] = {}
        for dataset, kind, clip_id, name, what in self.entries:
            clips = groups.setdefault((dataset, kind, name, what), [])
            if clip_id:
                clips.append(clip_id)
        return groups

    def summary(self, examples: int = EXAMPLES) -> str:
        """The differences in words, equal ones together."""
        kinds = Counter(entry.kind for entry in self.entries)
        counts = ", ".join(f"{n} {_plural(kind, n)}" for kind, n in kinds.items())
        lines = [f"{self.before} -> {self.after}: {counts or 'nothing differs'}"]
        dataset = None
        for (where, kind, name, what), clips in self.groups().items():
            if where != dataset:
                lines.append(where)
                dataset = where
            label = " ".join(part for part in (kind, name) if part)
            names = ", ".join(clips[:examples])
            if len(clips) > examples:
                names += f", ... ({len(clips)} clips)"
            lines.append(f"  {label}: {what}{f': {names}' if names else ''}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        differences = [entry._asdict() for entry in self.entries]
        return {"before": self.before, "after": self.after, "differences": differences}


def diff(before: Snapshot, after: Snapshot) -> Diff:
    """Compare two snapshots, of one store or of two. A cell differs if its fingerprint or its
    reason of rejection does: a cell computed again by the same encoder from the same content (a
    repair) is the same cell."""
    entries: list[Difference] = []
    here, there = before.datasets(), after.datasets()
    for dataset in sorted({*here, *there}):
        if dataset not in there:
            entries.append(Difference(dataset, "dataset", "", "", "gone"))
        elif dataset not in here:
            what = f"new, with {len(after.table(dataset).row_of)} clips"
            entries.append(Difference(dataset, "dataset", "", "", what))
        else:
            found = _Pair(before, after, dataset)
            entries += [Difference(dataset, *entry) for entry in found.differences()]
    return Diff(before.id, after.id, entries)


class _Pair:
    """One dataset in two snapshots."""

    def __init__(self, before: Snapshot, after: Snapshot, dataset: str) -> None:
        self.a, self.b = before.table(dataset), after.table(dataset)
        self.group_a = open_dataset(before.root, dataset)
        self.group_b = open_dataset(after.root, dataset)
        self.features_a, self.features_b = before.features(dataset), after.features(dataset)
        # All at once: clip by clip they would be looked up in the stored index.
        self.row_a, self.row_b = dict(self.a.row_of), dict(self.b.row_of)
        self.common = [clip_id for clip_id in self.row_b if clip_id in self.row_a]
        self.rows_a = np.array([self.row_a[c] for c in self.common], np.int64)
        self.rows_b = np.array([self.row_b[c] for c in self.common], np.int64)

    def differences(self) -> Iterator[tuple[Kind, str, str, str]]:
        yield from self.features()
        yield from self.clips()
        yield from self.labels()
        yield from self.cells()
        yield from self.hyperplanes()

    def features(self) -> Iterator[tuple[Kind, str, str, str]]:
        for name in sorted({*self.features_a, *self.features_b}):
            old, new = self.features_a.get(name), self.features_b.get(name)
            if new is None:
                yield "feature", "", name, "gone"
            elif old is None:
                yield "feature", "", name, f"new: {new.form()}"
            elif not old.same_form(new):
                what = f"form changed: {old.form()} -> {new.form()}"
                yield "feature", "", name, what

    def clips(self) -> Iterator[tuple[Kind, str, str, str]]:
        gone = [clip_id for clip_id in self.row_a if clip_id not in self.row_b]
        new = [clip_id for clip_id in self.row_b if clip_id not in self.row_a]
        was = {self.a.columns["content"][self.row_a[clip_id]]: clip_id for clip_id in gone}
        for clip_id in new:
            old = was.get(self.b.columns["content"][self.row_b[clip_id]])
            what = f"new, with the content of {old}, which is gone" if old else "new"
            yield "clip", clip_id, "", what
        for clip_id in gone:
            yield "clip", clip_id, "", "removed"
        changed = self.column(self.a, "content", self.rows_a) != self.column(
            self.b, "content", self.rows_b
        )
        for i in np.flatnonzero(changed):
            yield "clip", self.common[i], "", "content changed"
        for clip_id in new:
            row = self.row_b[clip_id]
            for feature, reasons in self.b.rejections.items():
                if reasons[row]:
                    yield "cell", clip_id, feature, f"rejected: {reasons[row]}"

    @staticmethod
    def column(table: ClipTable, name: str, rows: np.ndarray) -> np.ndarray:
        return table.columns[name][rows]

    def labels(self) -> Iterator[tuple[Kind, str, str, str]]:
        for name in LABEL_COLUMNS:
            old, new = (
                self.column(self.a, name, self.rows_a),
                self.column(self.b, name, self.rows_b),
            )
            for i in np.flatnonzero(old != new):
                yield "label", self.common[i], name, f"{_word(old[i])} -> {_word(new[i])}"

    def cells(self) -> Iterator[tuple[Kind, str, str, str]]:
        contents_a = self.column(self.a, "content", self.rows_a)
        contents_b = self.column(self.b, "content", self.rows_b)
        for name in sorted({*self.features_a, *self.features_b}):
            known = [
                *(stored_encoders(self.group_b, name) if name in self.features_b else []),
                *(stored_encoders(self.group_a, name) if name in self.features_a else []),
            ]
            sides = ((self.a, self.rows_a, contents_a), (self.b, self.rows_b, contents_b))
            for i, what in cell_differences(name, known, *sides):
                yield "cell", self.common[i], name, what

    def hyperplanes(self) -> Iterator[tuple[Kind, str, str, str]]:
        old, new = stored_fits(self.group_a), stored_fits(self.group_b)
        for feature, scope in sorted({*old, *new}):
            name = f"{feature}/{scope}"
            if (feature, scope) not in old:
                yield "hyperplanes", "", name, f"new, fitted on {self.made_from(feature, scope)}"
            elif (feature, scope) not in new:
                yield "hyperplanes", "", name, f"deleted: {self.why_deleted(feature, scope)}"
            elif not _same_fit(self.group_a, self.group_b, feature, scope):
                yield "hyperplanes", "", name, f"fitted again, on {self.made_from(feature, scope)}"

    def made_from(self, feature: str, scope: str) -> str:
        clips, _ = fit_origin(self.group_b, feature, scope)
        return "clips that are not recorded" if clips is None else f"{len(clips)} clips"

    def why_deleted(self, feature: str, scope: str) -> str:
        clips, _ = fit_origin(self.group_a, feature, scope)
        if clips is None:
            return "clips changed, and which it was fitted on is not recorded"
        gone = [clip_id for clip_id in clips if clip_id not in self.row_b]
        if gone:
            more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
            return f"it was fitted on {gone[0]}{more}, removed since"
        return "labels or cells that it was fitted on changed"


def _same_fit(a: zarr.Group, b: zarr.Group, feature: str, scope: str) -> bool:
    one, two = read_planes(a, feature, scope) or {}, read_planes(b, feature, scope) or {}
    return one.keys() == two.keys() and all(
        np.array_equal(value, two[name], equal_nan=value.dtype.kind == "f")
        if isinstance(value, np.ndarray)
        else value == two[name]
        for name, value in one.items()
    )


def _word(value: Any) -> str:
    text = "unknown" if value in ("", -1) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _plural(kind: str, n: int) -> str:
    return kind if n == 1 or kind == "hyperplanes" else f"{kind}s"
