"""A write session: allocate, fork to workers, merge, one commit."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import icechunk
import numpy as np
import zarr
from icechunk._icechunk_python import PySession

from store.applying import apply_changes, drop_cells, stored_extent
from store.changes import Changes
from store.errors import ConflictError, WriteError
from store.extents import Extent, allocate_extents, into_batches
from store.fits import check_origin
from store.fork import (
    Batch,
    ClipWrite,
    FeatureArrays,
    Fork,
    Slot,
    check_clip,
    merge_written,
    write_slot,
)
from store.hyperplanes import Planes
from store.layout import (
    block_frames,
    frames_allocated,
    grow,
    require_dataset,
    require_features,
)
from store.location import commit_lock, wait_for_clock, writing
from store.planning import EncoderKey
from store.relocate import relocate
from store.schema import SCHEMA_VERSION, ClipRow, FeatureSchema, check_features
from store.seals import seal
from store.table import ClipTable, empty_table, read_table
from store.versions import check_writable, package_version

if TYPE_CHECKING:
    from store.repository import Cache

COMMIT_TRIES = 20
"""Attempts against other committers on object storage, where no lock is held."""

MAX_CLIPS = 32
"""Clips in a batch, unless the caller says otherwise."""


class WriteSession:
    """Made by `Cache.write`. Leaving the with-block commits once, or, after an exception or if
    nothing was written, not at all."""

    def __init__(
        self,
        cache: "Cache",
        dataset: str,
        features: Mapping[str, FeatureSchema],
        message: str,
        metadata: Mapping[str, Any],
        replace: frozenset[str],
        encoders: Mapping[str, EncoderKey],
    ) -> None:
        """Use `Cache.write`."""
        check_features(features)
        self.dataset = dataset
        self.snapshot_id: str | None = None
        """Snapshot that this session made; None until then, and if it changed nothing."""
        self.superseded: list[str] = []
        """Clips not committed, because another writer changed them in the meantime."""
        self.superseded_fits: list[tuple[str, str]] = []
        """(feature, scope) of fits not committed, because what they were made from changed."""
        self.dropped_fits: list[tuple[str, str]] = []
        """(feature, scope) of stored fits deleted, because this session changed what they were made
        from (store/fits.py has the rule)."""
        self._cache = cache
        self._features = dict(features)
        self._message = message
        self._metadata = dict(metadata)
        self._replace = replace
        self._changes = Changes(encoders=dict(encoders))
        self._frozen: bytes | None = None
        self._unfinished = ""
        self._open: tuple[icechunk.Session, zarr.Group, ClipTable] | None = None

    def __enter__(self) -> "WriteSession":
        """Open a session on the newest snapshot."""
        wait_for_clock(self._cache.repository, self._cache.location)
        session = self._cache.repository.writable_session("main")
        root = zarr.open_group(session.store, mode="r+")
        check_writable(root, self._cache.location)
        group = require_dataset(root, self.dataset)
        replaced = require_features(group, self._features, self._replace)
        self._changes.replaced.update(replaced)
        # The table as it is at the base: columns are read when looked at, and `session` changes.
        base = self._cache.repository.readonly_session(snapshot_id=session.snapshot_id)
        before = zarr.open_group(base.store, mode="r").get(self.dataset)
        table = read_table(before) if isinstance(before, zarr.Group) else empty_table()
        drop_cells(group, table, replaced)
        self._arrays = FeatureArrays(group)
        self._open = session, group, table
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit what was merged, unless an exception is on its way."""
        try:
            if kind is None and self._changes:
                with writing(self._cache.location):
                    self._commit()
        finally:
            self._open = None

    def allocate(self, rows: Sequence[ClipRow], max_clips: int = MAX_CLIPS) -> list[Batch]:
        """Give each clip its place, and the clips in batches of at most `max_clips`.

        A clip that the store has with the same content keeps its extent; any other gets whole
        blocks of its own. So batches never share a shard, and any grouping of slots is safe.
        To be called before the first fork. Raises WriteError.
        """
        _, group, table = self._state()
        if self._frozen is not None:
            raise WriteError("allocate all clips of a session before its first fork")
        for row in rows:
            if row.clip_id in self._changes.rows:
                raise WriteError(f"clip {row.clip_id} is allocated twice in this session")
            unknown = [name for name in row.cells if name not in self._features]
            if unknown:
                raise WriteError(
                    f"clip {row.clip_id} plans {', '.join(unknown)}, which the session does not "
                    f"declare (declared: {', '.join(self._features)})"
                )
            self._changes.rows[row.clip_id] = row
        kept = {row.clip_id: _kept_extent(table, row) for row in rows}
        lengths = [0 if kept[row.clip_id] else row.frames for row in rows]
        extents, stop = allocate_extents(lengths, frames_allocated(group), block_frames(group))
        if stop > frames_allocated(group):
            grow(group, stop)
        slots = []
        for row, extent in zip(rows, extents, strict=True):
            old = kept[row.clip_id]
            slots.append(Slot(row.clip_id, old or extent, old is not None, dict(row.cells)))
            self._changes.slots[row.clip_id] = slots[-1]
        return [Batch(tuple(batch)) for batch in into_batches(slots, max_clips)]

    def fork(self, batch: Batch | None = None) -> Fork:
        """A picklable fork that may write the clips of `batch` (default: all allocated)."""
        session, _, _ = self._state()
        slots = self._changes.slots
        if batch is not None:
            slots = {slot.clip_id: slot for slot in batch.slots}
        forked = icechunk.ForkSession(PySession.from_bytes(self._forks_of(session)))
        return Fork(forked, self.dataset, self._features, slots, location=self._cache.location)

    def merge(self, *forks: Fork) -> None:
        """Take back written forks, in any order; raises WriteError if two wrote one clip."""
        session, _, _ = self._state()
        merge_written(self._changes.written, forks, self._changes.slots)
        for fork in forks:
            session.merge(fork.session)

    def write_clip(self, write: ClipWrite) -> None:
        """Write a clip from this process."""
        session, _, _ = self._state()
        slot = self._changes.slots.get(write.clip_id)
        if slot is None or write.clip_id in self._changes.written:
            what = "is already written" if slot else "was not allocated"
            raise WriteError(f"clip {write.clip_id} {what} in this session: allocate, write once")
        self._forks_of(session)  # what is written here does not belong into forks
        check_clip(self._features, slot, write)
        self._unfinished = write.clip_id
        with writing(self._cache.location):
            written = write_slot(self._arrays, self._features, slot, write)
        self._changes.written[write.clip_id] = written
        self._unfinished = ""

    def remove_clips(self, clip_ids: Sequence[str]) -> None:
        """Forget clips: their rows, cells and frames (older snapshots keep them)."""
        _, _, table = self._state()
        for clip_id in clip_ids:
            table.row(clip_id)
            if clip_id in self._changes.rows or clip_id in self._changes.updated:
                raise WriteError(f"clip {clip_id} is written and removed in one session")
        self._changes.removed.extend(clip_ids)

    def update_rows(self, rows: Sequence[ClipRow]) -> None:
        """Bring what the clip table says of clips up to date; their cells stay as they are.

        For clips whose content is the stored one (`frames` and `cells` of a row are not looked
        at); other content needs `allocate` and a write. Raises UnknownError, WriteError.
        """
        _, _, table = self._state()
        for row in rows:
            stored = table.value("content", table.row(row.clip_id))
            if stored != row.content:
                raise WriteError(
                    f"clip {row.clip_id} has content {row.content}, the store {stored}: other "
                    "content makes other cells; plan, allocate and write the clip"
                )
            if row.clip_id in self._changes.rows or row.clip_id in self._changes.removed:
                raise WriteError(f"clip {row.clip_id} is written or removed in this session too")
            self._changes.updated[row.clip_id] = row

    def put_hyperplanes(
        self,
        feature: str,
        scope: str,
        arrays: Mapping[str, np.ndarray],
        attributes: Mapping[str, Any],
        clips: Sequence[str] | None = None,
        reads: Sequence[str] = (),
    ) -> None:
        """Store a fit on `feature` for `scope` (an identity, or `pooled`): arrays by name, and
        JSON-able attributes (tags, scores, provenance).

        `clips`: the clips it was made from, `reads`: the features (none: `feature`). A later commit
        that changes them deletes the fit; without `clips`, any changed clip does
        (store/fits.py). Raises UnknownError, WriteError if a named cell is not valid.
        """
        _, _, table = self._state()
        known = None if clips is None else tuple(clips)
        planes = Planes(dict(arrays), dict(attributes), known, tuple(reads) or (feature,))
        check_origin(table, planes, self._changes.rows)
        self._changes.planes[feature, scope] = planes

    def annotate(self, **facts: Any) -> None:
        """More of the commit's metadata, JSON-able: what is known only once the work is done."""
        self._metadata |= facts

    def _state(self) -> tuple[icechunk.Session, zarr.Group, ClipTable]:
        if self._open is None:
            raise WriteError("the session is closed: use it inside `with cache.write(...)`")
        return self._open

    def _forks_of(self, session: icechunk.Session) -> bytes:
        """The state that every fork begins with: arrays made and grown, no clip written.

        `Session.fork` refuses any uncommitted change, which would cost a commit of its own before
        each session. The change set of a fork is a copy of its parent's, so merging it back adds
        just what the fork wrote (held against a model in tests/store, with icechunk 1.1 and 2.3;
        docs/decisions/0005).
        """
        if self._frozen is None:
            self._frozen = session._session.as_bytes()
        return self._frozen

    def _commit(self) -> None:
        session, group, table = self._state()
        if self._unfinished:
            raise WriteError(
                f"writing clip {self._unfinished} broke off, nothing of the session is committed: "
                "run again"
            )
        repository = self._cache.repository
        with commit_lock(self._cache.location):
            for _ in range(COMMIT_TRIES):
                wait_for_clock(repository, self._cache.location)
                changes = self._changes
                target = session
                if repository.lookup_branch("main") == session.snapshot_id:
                    self.dropped_fits = apply_changes(group, table, changes)
                else:
                    target = repository.writable_session("main")
                    # A newer emohead may have migrated the store meanwhile.
                    check_writable(zarr.open_group(target.store, mode="r"), self._cache.location)
                    at_tip = relocate(
                        session,
                        target,
                        self.dataset,
                        self._features,
                        self._replace,
                        table,
                        changes,
                    )
                    changes, self.superseded, self.superseded_fits = at_tip[2:]
                    if not changes:
                        return
                    self.dropped_fits = apply_changes(at_tip[0], at_tip[1], changes)
                try:
                    self.snapshot_id = target.commit(self._message, self._commit_metadata(changes))
                except icechunk.ConflictError:
                    continue
                seal(self._cache.location, repository, self.snapshot_id)
                return
        raise ConflictError(
            f"{self._cache.location}: {COMMIT_TRIES} times another writer committed first; "
            "run again: what is already stored will not be computed again"
        )

    def _commit_metadata(self, changes: Changes) -> dict[str, Any]:
        special = {
            "superseded": self.superseded,
            "superseded_fits": [f"{feature}/{scope}" for feature, scope in self.superseded_fits],
            "dropped_fits": [f"{feature}/{scope}" for feature, scope in self.dropped_fits],
        }
        return {
            **self._metadata,
            "dataset": self.dataset,
            "emohead": package_version(),
            "schema_version": SCHEMA_VERSION,
            **changes.facts(),
            **{name: value for name, value in special.items() if value},
        }


def _kept_extent(table: ClipTable, row: ClipRow) -> Extent | None:
    """The stored extent, if the stored content is the row's."""
    at = table.row_of.get(row.clip_id)
    if at is None or table.value("content", at) != row.content:
        return None
    return stored_extent(table, at)
