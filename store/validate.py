"""Hold a snapshot against itself: extents, cells, arrays, and every chunk if asked."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import icechunk
import numpy as np
import zarr
from zarr.core.sync import sync

from store.extents import Extent, blocks_of, overlaps
from store.fits import stale_fits
from store.layout import (
    block_frames,
    feature_array,
    frames_allocated,
    open_dataset,
    stored_features,
    token_array,
)
from store.location import is_local, storage_of
from store.read import Snapshot
from store.schema import FeatureSchema
from store.seals import damages, inspect
from store.table import ClipTable


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    dataset: str
    clip_id: str
    """"" if it is not of one clip."""
    feature: str
    """"" if it is not of one feature."""
    what: str

    def __str__(self) -> str:
        """Dataset, feature, clip: what."""
        place = "/".join(part for part in (self.dataset, self.feature) if part)
        return f"{place}{f' of clip {self.clip_id}' if self.clip_id else ''}: {self.what}"


@dataclass
class Report:
    """What was looked at, and what was found."""

    snapshot_id: str
    read_data: bool
    sealed: bool | None = None
    """Whether the metadata files could be held against their checksums; None on object storage,
    which guards its objects itself."""
    problems: list[Problem] = field(default_factory=list)
    clips: int = 0
    valid: int = 0
    rejected: int = 0
    absent: int = 0

    @property
    def ok(self) -> bool:
        """True if nothing is wrong."""
        return not self.problems

    @property
    def damaged(self) -> list[tuple[str, str]]:
        """(clip, feature) pairs to force in the next plan, which repairs them."""
        pairs = [(p.clip_id, p.feature) for p in self.problems if p.clip_id and p.feature]
        return list(dict.fromkeys(pairs))

    def summary(self) -> str:
        """The report in words."""
        depth = "every value read" if self.read_data else "structure only"
        head = (
            f"snapshot {self.snapshot_id}: {self.clips} clips, {self.valid} valid, "
            f"{self.rejected} rejected, {self.absent} absent cells; {depth}; "
            f"{len(self.problems) or 'no'} problems"
        )
        if self.sealed is False:
            head += " (no seal: a flipped bit in icechunk's own files may go unseen)"
        return "\n".join([head, *(f"  {problem}" for problem in self.problems)])


def validate(snapshot: Snapshot, *, read_data: bool = False) -> Report:
    """Check a snapshot; `read_data` also reads and decodes every valid cell. Damage is reported,
    never raised."""
    report = Report(snapshot.id, read_data)
    damaged = _damaged_files(snapshot, report)
    # Damaged metadata fail in many ways, in icechunk, in zarr and in what they describe.
    try:
        datasets = snapshot.datasets()
    except Exception as error:
        report.problems.append(Problem("", "", "", f"cannot be opened ({_one_line(error)})"))
        return report
    for dataset in datasets:
        try:
            if read_data:
                read_tables(snapshot, dataset, report)
            check = _Check(snapshot, dataset, report)
            check.manifests(damaged)
            check.run()
        except Exception as error:
            what = f"cannot be checked ({type(error).__name__}: {_one_line(error)})"
            report.problems.append(Problem(dataset, "", "", what))
    return report


def read_tables(snapshot: Snapshot, dataset: str, report: Report) -> None:
    """Read what is no frame and no token: clip table, cells, fits, and whatever else."""
    for path, node in open_dataset(snapshot.root, dataset).members(max_depth=None):
        if isinstance(node, zarr.Array) and path.split("/")[0] not in ("frames", "tokens"):
            try:
                np.asarray(node[...])
            except Exception as error:
                what = f"{path} cannot be read back ({_one_line(error)})"
                report.problems.append(Problem(dataset, "", "", what))


def _damaged_files(snapshot: Snapshot, report: Report) -> dict[str, str]:
    """Report metadata files that changed since their commit; damaged manifests by id."""
    if not is_local(snapshot.location):
        return {}
    found = damages(snapshot.location, snapshot.id, history=report.read_data)
    report.sealed = found is not None
    for damage in found or []:
        report.problems.append(Problem("", "", "", f"file {damage.path} {damage.what}"))
    return {
        damage.path.removeprefix("manifests/"): damage.what
        for damage in found or []
        if damage.path.startswith("manifests/")
    }


class _Check:
    """The checks of one dataset."""

    def __init__(self, snapshot: Snapshot, dataset: str, report: Report) -> None:
        self.snapshot, self.dataset, self.report = snapshot, dataset, report
        group = snapshot.root[dataset]
        if not isinstance(group, zarr.Group):
            raise TypeError(f"{dataset} is not a group")
        self.group = group
        self.table: ClipTable = snapshot.table(dataset)
        self.rows = np.array(sorted(self.table.row_of.values()), np.int64)
        self.first = self.table.columns["first_frame"].astype(np.int64)
        self.frames = self.table.columns["frames"].astype(np.int64)
        self.block = block_frames(group)

    def problem(self, what: str, row: int | None = None, feature: str = "") -> None:
        clip_id = "" if row is None else str(self.table.columns["clip_id"][row])
        self.report.problems.append(Problem(self.dataset, clip_id, feature, what))

    def manifests(self, damaged: dict[str, str]) -> None:
        """Name what is listed in damaged manifests: cells, or a column of the table."""
        if not damaged:
            return
        repository = icechunk.Repository.open(storage_of(self.snapshot.location))
        for node in inspect(repository, self.snapshot.id)["nodes"]:
            _, dataset, *rest = [*node["path"].split("/"), ""]
            if dataset != self.dataset:
                continue
            for ref in node.get("manifest_refs") or ():
                if ref["id"] in damaged:
                    self.listed("/".join(rest).rstrip("/"), ref)

    def listed(self, path: str, ref: Mapping[str, Any]) -> None:
        """Name the cells whose chunks a damaged manifest lists."""
        what = f"its chunks are listed in the damaged manifest {ref['id']}"
        folder, _, feature = path.partition("/")
        self.problem(f"{path}: {what}", feature=feature if folder in ("frames", "tokens") else "")
        if folder not in ("frames", "tokens"):
            return
        start, stop = (int(edge) for edge in ref["extents"][0])
        try:
            prints = self.table.fingerprints.get(feature)
            for row in map(int, self.rows):
                first, frames = int(self.first[row]), int(self.frames[row])
                own = blocks_of(Extent(first, frames), self.block)
                there = first >= 0 and own.start < stop and own.stop > start
                if there and (prints is None or prints[row]):
                    self.problem(what, row, feature)
        except Exception as error:  # the table itself may be unreadable
            self.problem(f"the cells under it cannot be named ({_one_line(error)})")

    def run(self) -> None:
        self.report.clips += len(self.rows)
        if len(np.unique(self.table.columns["clip_id"][self.rows].astype(str))) < len(self.rows):
            self.problem("a clip id stands in two rows of the clip table")
        self.extents()
        schemas = stored_features(self.group)
        for feature in self.table.fingerprints:
            if feature not in schemas:
                self.problem("has cells but no array", feature=feature)
        for schema in schemas.values():
            self.feature(schema)
        for feature, scope, what in stale_fits(self.group, self.table):
            self.problem(f"the hyperplanes of {scope} are stale: it {what}", feature=feature)

    def extents(self) -> None:
        """Every extent lies on blocks of its own inside the allocated axis."""
        allocated = frames_allocated(self.group)
        placed = [int(row) for row in self.rows if self.first[row] >= 0]
        for row in map(int, self.rows):
            first, frames = int(self.first[row]), int(self.frames[row])
            if (first < 0) != (frames <= 0):
                self.problem(f"first frame {first} does not go with {frames} frames", row)
            elif first >= 0 and (first % self.block or first + frames > allocated):
                self.problem(
                    f"frames {first}..{first + frames} are not whole blocks of {self.block} inside "
                    f"the {allocated} allocated",
                    row,
                )
        spans = [Extent(int(self.first[row]), int(self.frames[row])) for row in placed]
        for a, b in overlaps(spans, self.block):
            other = self.table.columns["clip_id"][placed[a]]
            self.problem(f"shares a block of the frame axis with clip {other}", placed[b])

    def feature(self, schema: FeatureSchema) -> None:
        """The cells of one feature against its array."""
        name = schema.name
        array = feature_array(self.group, name)
        if array.shape[1:] != schema.shape or array.dtype != np.dtype(schema.dtype):
            self.problem(
                f"array is {array.dtype} {array.shape[1:]}, schema {schema.dtype} {schema.shape}",
                feature=name,
            )
        if array.shape[0] != frames_allocated(self.group):
            self.problem(
                f"array has {array.shape[0]} frames, {frames_allocated(self.group)} are allocated",
                feature=name,
            )
        states = self.states(name)
        self.report.valid += int((states == "valid").sum())
        self.report.rejected += int((states == "rejected").sum())
        self.report.absent += int((states == "absent").sum())
        try:
            written = self.written_blocks(array)
        except (icechunk.IcechunkError, ValueError, OSError) as error:
            self.problem(f"its list of chunks cannot be read: {error}", feature=name)
            return
        self.presence(schema, states, written)
        if self.report.read_data:
            for row in self.rows[states == "valid"]:
                self.data(schema, int(row))

    def states(self, feature: str) -> np.ndarray:
        """State per clip, and what is wrong with it."""
        states = np.full(len(self.rows), "absent", object)
        prints = self.table.fingerprints.get(feature)
        if prints is None:
            return states
        has_print = prints[self.rows] != ""
        has_reason = self.table.rejections[feature][self.rows] != ""
        states[has_print] = "valid"
        states[has_print & has_reason] = "rejected"
        for row in self.rows[has_reason & ~has_print]:
            self.problem("is rejected without a fingerprint", int(row), feature)
        for row in self.rows[(states == "valid") & (self.first[self.rows] < 0)]:
            self.problem("is marked valid, but the clip has no frames", int(row), feature)
        return states

    def written_blocks(self, array: zarr.Array) -> np.ndarray:
        """For each block of the axis, whether the array has data there."""
        session = self.group.store.session  # pyright: ignore[reportAttributeAccessIssue]

        async def collect(coordinates: AsyncIterator[tuple[int, ...]]) -> list[int]:
            return [coordinate[0] async for coordinate in coordinates]

        indices = sync(collect(session.chunk_coordinates(f"/{array.path}")))
        written = np.zeros(max(frames_allocated(self.group) // self.block, 1), bool)
        written[np.array(indices, np.int64)] = True
        return written

    def presence(self, schema: FeatureSchema, states: np.ndarray, written: np.ndarray) -> None:
        """Data where cells are valid, and nowhere else."""
        owned = np.zeros_like(written)
        count = np.concatenate([[0], np.cumsum(written)])
        # A picture may be all black and a label map all background; a float cell is never all NaN.
        never_all_fill = schema.dtype.startswith("float") or schema.kind == "token_index"
        for row, state in zip(self.rows, states, strict=True):
            first, frames = int(self.first[row]), int(self.frames[row])
            if first < 0:
                continue
            start, stop = first // self.block, -(-(first + frames) // self.block)
            owned[start:stop] = True
            n_written = int(count[min(stop, len(written))] - count[min(start, len(written))])
            if state == "valid" and never_all_fill and n_written == 0:
                self.problem("is marked valid, but no data is stored", int(row), schema.name)
            if state != "valid" and n_written:
                self.problem(f"is {state}, but data is stored", int(row), schema.name)
        stray = np.flatnonzero(written & ~owned)
        if len(stray):
            self.problem(
                f"{len(stray)} shards belong to no clip (first: block {stray[0]})",
                feature=schema.name,
            )

    def data(self, schema: FeatureSchema, row: int) -> None:
        """Read one valid cell and look at its values."""
        name = schema.name
        clip_id = str(self.table.columns["clip_id"][row])
        first, frames = int(self.first[row]), int(self.frames[row])
        # Any codec of the chain may object, each with an error of its own.
        try:
            values = np.asarray(feature_array(self.group, name)[first : first + frames])
            tokens = None
            if schema.token_dim is not None:
                count = int(self.table.token_counts[name][row])
                tokens = np.asarray(token_array(self.group, name)[first : first + count])
        except Exception as error:
            kind = type(error).__name__
            self.problem(f"cannot be read back ({kind}: {_one_line(error)})", row, name)
            return
        if values.shape != (frames, *schema.shape):
            self.problem(f"has shape {values.shape}, not {(frames, *schema.shape)}", row, name)
        elif values.dtype.kind == "f" and bool(np.isnan(values).all()):
            self.problem(f"is marked valid, but NaN in all {frames} frames", row, name)
        if tokens is not None:
            low, high = int(values.min()), int(values.max())
            if low < -1 or high >= len(tokens):
                self.problem(f"points at tokens {low}..{high} of {len(tokens)}", row, name)
            if np.isnan(tokens).any():
                self.problem(f"clip {clip_id} has a token vector with NaN", row, name)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
