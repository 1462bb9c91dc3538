"""When a fit may stay. The rule: whatever a stored fit was made from is in the same snapshot.

A commit that removes or replaces a clip, changes its identity or emotion, or changes a cell of a
feature that a fit reads, deletes every fit made from that clip, in the same commit: those of its
identity and the pooled ones. The next fit-hyperplanes run makes them anew. So nobody goes on with a
fit that holds a removed person, and a fit never names cells that its snapshot does not have. New
clips delete nothing (the fit is true of what it was made from; fit-hyperplanes sees that there is
more). A fit that does not say what it was made from counts as made from every clip and feature.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import zarr

from store.changes import Changes
from store.errors import UnknownError, WriteError
from store.hyperplanes import Planes, fit_origin, planes_path, stored_fits
from store.table import ClipTable

LABELS = ("identity", "emotion")
"""Columns of the clip table that a fit is made from."""


@dataclass
class Touched:
    """What a commit changes of what fits can be made from."""

    clips: set[str] = field(default_factory=set)
    """Removed, replaced, or with another identity or emotion."""
    cells: dict[str, set[str]] = field(default_factory=dict)
    """Feature -> clips whose valid cell is another or none from now on."""
    features: set[str] = field(default_factory=set)
    """Features whose cells are all gone, because their array is new."""

    def reaches(self, clips: Collection[str] | None, reads: Sequence[str]) -> bool:
        """Whether a fit made from `clips` (None: any) and the features `reads` is no longer
        true."""
        if clips is None:
            return bool(self.clips or self.features or any(self.cells.values()))
        if not self.features.isdisjoint(reads) or not self.clips.isdisjoint(clips):
            return True
        return any(not self.cells.get(name, set()).isdisjoint(clips) for name in reads)


def touched_by(table: ClipTable, changes: Changes) -> Touched:
    """What changes for fits when `changes` are applied to `table`."""
    touched = Touched(set(changes.removed), {}, set(changes.replaced))
    rows = {**changes.updated, **{name: changes.rows[name] for name in changes.written}}
    for clip_id, given in rows.items():
        row = table.row_of.get(clip_id)
        if row is None:
            continue
        if table.value("content", row) != given.content or any(
            table.value(name, row) != getattr(given, name) for name in LABELS
        ):
            touched.clips.add(clip_id)
    for clip_id, written in changes.written.items():
        row = table.row_of.get(clip_id)
        if row is None or clip_id in touched.clips:
            continue
        cells = changes.slots[clip_id].cells
        for feature in (*written.valid, *written.rejected):
            valid = table.state(row, feature) == "valid"
            same = feature in written.valid and (
                valid and table.print_at(feature, row) == cells[feature]
            )
            if valid and not same:
                touched.cells.setdefault(feature, set()).add(clip_id)
    return touched


def drop_fits(group: zarr.Group, table: ClipTable, changes: Changes) -> list[tuple[str, str]]:
    """Delete the fits that `changes` make untrue; returns (feature, scope) of each."""
    if "hyperplanes" not in group:
        return []
    touched = touched_by(table, changes)
    if not touched.reaches(None, ()):
        return []
    dropped = []
    for feature, scope in stored_fits(group):
        if touched.reaches(*fit_origin(group, feature, scope)):
            del group[planes_path(feature, scope)]
            dropped.append((feature, scope))
    return dropped


def check_origin(table: ClipTable, planes: Planes, written: Collection[str]) -> None:
    """A fit is made from valid cells of its base (or of clips written with it); raises WriteError,
    UnknownError."""
    row_of = dict(table.row_of) if planes.clips else {}  # all at once
    for clip_id in planes.clips or ():
        if clip_id in written:
            continue
        row = row_of.get(clip_id)
        if row is None:
            raise UnknownError(
                f"a fit names clip {clip_id!r}, which the dataset does not have: fit on the clips "
                "of the newest snapshot"
            )
        for feature in planes.reads:
            if table.state(row, feature) != "valid":
                raise WriteError(
                    f"a fit names {feature} of clip {clip_id}, which is "
                    f"{table.state(row, feature)}: fit on valid cells"
                )


def still_true(base: ClipTable, tip: ClipTable, planes: Planes, ours: Collection[str]) -> bool:
    """Whether another writer, who committed meanwhile, left what a fit was made from as it was;
    clips in `ours` are written together with the fit."""
    if planes.clips is None:
        return True
    clips = [clip_id for clip_id in planes.clips if clip_id not in ours]
    row_then, row_now = dict(base.row_of), dict(tip.row_of)  # all at once
    if any(clip_id not in row_now or clip_id not in row_then for clip_id in clips):
        return False
    then = np.array([row_then[clip_id] for clip_id in clips], np.int64)
    now = np.array([row_now[clip_id] for clip_id in clips], np.int64)
    pairs = [(base.columns[name], tip.columns[name]) for name in ("content", *LABELS)]
    for name in planes.reads:
        if name not in tip.fingerprints:
            return not clips
        pairs.append((base.fingerprints[name], tip.fingerprints[name]))
        pairs.append((base.rejections[name], tip.rejections[name]))
    return all(bool((before[then] == after[now]).all()) for before, after in pairs)


def stale_fits(group: zarr.Group, table: ClipTable) -> list[tuple[str, str, str]]:
    """Fits that break the rule (there are none unless another program wrote): feature, scope, what
    is wrong."""
    stale = []
    fits = stored_fits(group)
    row_of = dict(table.row_of) if fits else {}  # all at once
    for feature, scope in fits:
        clips, reads = fit_origin(group, feature, scope)
        gone = [clip_id for clip_id in clips or () if clip_id not in row_of]
        if gone:
            stale.append((feature, scope, f"was fitted on clip {gone[0]}, which is not here"))
            continue
        for name in reads:
            lost = [c for c in clips or () if table.state(row_of[c], name) != "valid"]
            if lost:
                what = f"was fitted on {name} of clip {lost[0]}, which is not valid"
                stale.append((feature, scope, what))
                break
    return stale
