"""The cache: an icechunk repository, opened or made, tagged, listed, cleaned, written."""

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import icechunk
import zarr
from icechunk import (
    ManifestConfig,
    ManifestSplitCondition,
    ManifestSplitDimCondition,
    ManifestSplittingConfig,
    RepositoryConfig,
)

from store.errors import (
    CorruptionError,
    LocationError,
    NoStoreError,
    SchemaError,
    StoreError,
    UnknownError,
    VersionError,
)
from store.location import (
    commit_lock,
    creation_lock,
    is_local,
    normalise,
    open_repository,
    storage_of,
)
from store.planning import EncoderKey
from store.read import Snapshot
from store.schema import FeatureSchema
from store.seals import advice, damaged_snapshots, renew, seal
from store.session import WriteSession
from store.validate import Report, validate
from store.versions import check_root, package_version, root_attributes

MANIFEST_CHUNKS = 2048
"""Chunks listed per manifest: a small commit rewrites one of these, not the list of all."""

MIN_GC_AGE = datetime.timedelta(hours=1)
"""Younger objects may belong to a session that is still writing."""


@dataclass(frozen=True)
class LogEntry:
    """One commit."""

    id: str
    message: str
    written_at: datetime.datetime
    metadata: dict[str, Any]


class Cache:
    """A store of aligned features. Make one with `Cache.open`."""

    def __init__(self, location: str, repository: icechunk.Repository) -> None:
        """Use `Cache.open`."""
        self.location = location
        self.repository = repository

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Pickle the location; the other process opens for itself."""
        return Cache.open, (self.location,)

    def __repr__(self) -> str:
        """The location."""
        return f"Cache({self.location!r})"

    @classmethod
    def open(cls, location: str | Path, *, create: bool = False) -> "Cache":
        """Open the store at a folder or `s3://bucket/prefix`; with `create`, make it if absent.
        Raises LocationError, SchemaError."""
        where = normalise(location)
        if is_local(where):
            _check_folder(Path(where), create)
        try:
            storage = storage_of(where)
            if create:
                with creation_lock(where):
                    _require(storage, where)
            elif not icechunk.Repository.exists(storage):
                raise NoStoreError(
                    f"there is no store at {where}: run preprocessing to make one, or correct the "
                    "location"
                )
            cache = cls(where, open_repository(storage))
            check_root(cache.snapshot().root, where)
            return cache
        except Exception as error:  # damaged metadata fail in many ways, also as a panic in Rust
            if isinstance(error, VersionError):
                raise
            if isinstance(error, StoreError) and not isinstance(error, SchemaError):
                raise
            if told := advice(where):
                raise CorruptionError(f"the store at {where} is damaged: {told}") from error
            if not isinstance(error, icechunk.IcechunkError):
                raise
            raise LocationError(
                f"the store at {where} cannot be opened: {error}. "
                "Check the location, its permissions, and (s3) credentials, region and endpoint"
            ) from error

    def snapshot(self, ref: str = "main") -> Snapshot:
        """The snapshot that a branch, a tag or an id names; raises UnknownError."""
        if ref in self.repository.list_branches():
            return Snapshot(self.location, self.repository.lookup_branch(ref))
        if ref in self.repository.list_tags():
            return Snapshot(self.location, self.repository.lookup_tag(ref))
        try:
            self.repository.lookup_snapshot(ref)
        except (icechunk.IcechunkError, ValueError) as error:
            tags = ", ".join(self.tags()) or "none"
            raise UnknownError(
                f"{self.location} has no snapshot, tag or branch {ref!r}; tags: {tags}"
            ) from error
        return Snapshot(self.location, ref)

    def datasets(self) -> list[str]:
        """Names of the datasets in the newest snapshot."""
        return self.snapshot().datasets()

    def write(
        self,
        dataset: str,
        features: Mapping[str, FeatureSchema],
        message: str,
        metadata: Mapping[str, Any] | None = None,
        replace: Collection[str] = (),
        encoders: Mapping[str, EncoderKey] | None = None,
    ) -> WriteSession:
        """A write session on a dataset, made if absent; use it in a with-block.

        `features`: what may be written; `metadata`: run id, plan hash, profile; `replace`: features
        whose stored array is dropped if its form differs from the one given here; `encoders`: who
        makes the cells, recorded so that `store.diff` can name what changed.
        """
        return WriteSession(
            self, dataset, features, message, metadata or {}, frozenset(replace), encoders or {}
        )

    def tag(self, name: str, ref: str = "main") -> str:
        """Name a snapshot for ever (a release); returns its id. Raises StoreError if taken."""
        snapshot_id = self.snapshot(ref).id
        with commit_lock(self.location):
            taken = self.tags().get(name)
            if taken is not None:
                raise StoreError(f"tag {name!r} is taken by snapshot {taken}: choose another name")
            try:
                self.repository.create_tag(name, snapshot_id)
            except (icechunk.IcechunkError, ValueError) as error:
                raise StoreError(
                    f"tag {name!r} cannot be made ({error}): a deleted name is never free again; "
                    "choose another name"
                ) from error
        return snapshot_id

    def tags(self) -> dict[str, str]:
        """Tags with the snapshot each names, sorted by name."""
        names = sorted(self.repository.list_tags())
        return {name: self.repository.lookup_tag(name) for name in names}

    def untag(self, name: str) -> str:
        """Take a tag from its snapshot, whose id is returned; the name is never free again.
        Raises UnknownError."""
        with commit_lock(self.location):
            tags = self.tags()
            if name not in tags:
                there = ", ".join(tags) or "none"
                raise UnknownError(f"{self.location} has no tag {name!r}; tags: {there}")
            self.repository.delete_tag(name)
        return tags[name]

    def log(self, ref: str = "main", limit: int | None = None) -> list[LogEntry]:
        """Commits that lead to a snapshot, newest first."""
        entries = []
        for info in self.repository.ancestry(snapshot_id=self.snapshot(ref).id):
            if limit is not None and len(entries) == limit:
                break
            entries.append(LogEntry(info.id, info.message, info.written_at, dict(info.metadata)))
        return entries

    def validate(self, ref: str = "main", *, read_data: bool = False) -> Report:
        """Hold a snapshot against itself; with `read_data`, read and decode every valid cell."""
        return validate(self.snapshot(ref), read_data=read_data)

    def gc(
        self, older_than: datetime.datetime, *, expire: bool = True, dry_run: bool = False
    ) -> dict[str, int]:
        """Delete what no snapshot needs and was written before `older_than`; with `expire`, forget
        untagged snapshots of before then too (branch tips stay). Irreversible.

        Refuses a time younger than an hour: sessions still writing own such objects.
        Returns what was deleted. With `dry_run` nothing is, and it is said what would be (without
        the objects that only snapshots need that would be forgotten).
        """
        limit = datetime.datetime.now(datetime.UTC) - MIN_GC_AGE
        if older_than > limit:
            raise StoreError(
                f"gc older than {older_than.isoformat()} could delete what a running session has "
                f"written: give a time before {limit.isoformat()}, and before the start of every "
                "session still running"
            )
        return self._collect(older_than, expire, dry_run)

    def _expired(self, older_than: datetime.datetime, dry_run: bool) -> Collection[str]:
        """Forget untagged snapshots of before `older_than` that lead to a newer one; their ids."""
        tip, *entries = self.log()
        kept = {tip.id, *self.tags().values()}
        if not dry_run:  # icechunk names what the kept ones no longer lead to, and those themselves
            return self.repository.expire_snapshots(older_than) - kept
        old = [entry.id for entry in entries if entry.written_at < older_than]
        return [snapshot_id for snapshot_id in old[:-1] if snapshot_id not in kept]

    def _collect(
        self, older_than: datetime.datetime, expire: bool, dry_run: bool = False
    ) -> dict[str, int]:
        with commit_lock(self.location):
            damaged = damaged_snapshots(self.location)
            expired = self._expired(older_than, dry_run) if expire else []
            summary = self.repository.garbage_collect(older_than, dry_run=dry_run)
            renew(self.location, damaged)
        return {
            "snapshots_expired": len(expired),
            "snapshots_deleted": summary.snapshots_deleted,
            "manifests_deleted": summary.manifests_deleted,
            "chunks_deleted": summary.chunks_deleted,
            "bytes_deleted": summary.bytes_deleted,
        }


def _check_folder(folder: Path, create: bool) -> None:
    try:
        there, usable = folder.exists(), folder.is_dir()
    except PermissionError as error:
        raise LocationError(
            f"{folder} cannot be reached ({error.strerror}): a folder above it is closed to this "
            "user; have it opened (execute permission), or choose another"
        ) from error
    if there and not usable:
        raise LocationError(f"{folder} is a file, not the folder of a store: give a folder")
    if not there:
        if not create:
            raise NoStoreError(
                f"there is no store at {folder}: run preprocessing to make one, or correct the path"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LocationError(
                f"{folder} cannot be made ({error.strerror}): choose a folder that you may write"
            ) from error


def _require(storage: icechunk.Storage, location: str) -> None:
    """Make what is missing of a store; safe to be killed at any point and called again."""
    if icechunk.Repository.exists(storage):
        repository = open_repository(storage)
    else:
        repository = icechunk.Repository.create(storage, config=_config())
        repository.save_config()  # every program that opens the store splits alike
    if len(list(repository.ancestry(branch="main"))) == 1:  # nothing but the empty beginning
        session = repository.writable_session("main")
        zarr.create_group(session.store, attributes=root_attributes())
        empty = session.snapshot_id
        made = session.commit("Create the store", {"emohead": package_version()})
        for snapshot_id in (empty, made):
            seal(location, repository, snapshot_id)


def _config() -> RepositoryConfig:
    by_axis = ((ManifestSplitDimCondition.Axis(0), MANIFEST_CHUNKS),)
    splitting = ManifestSplittingConfig(((ManifestSplitCondition.AnyArray(), by_axis),))
    return RepositoryConfig(manifest=ManifestConfig(splitting=splitting))
