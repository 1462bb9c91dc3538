"""Bring a store of an earlier schema version to today's form, in one commit.

The state before it gets a tag first, so that it stays readable for ever, also by the emohead that
made it (from a copy of the folder: an older program refuses the newer tip). Killed at any point,
the store has either form whole.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import icechunk
import zarr

from store.errors import ConflictError
from store.location import commit_lock
from store.repository import Cache
from store.schema import SCHEMA_VERSION
from store.seals import seal
from store.versions import package_version, root_attributes, schema_version


def _from_1(root: zarr.Group) -> None:
    """Version 2 records more (encoders of a feature, clips of a fit), and lacks nothing of 1.
    What version 1 did not record stays unknown: such fits are dropped with any change of a clip."""


STEPS: dict[int, Callable[[zarr.Group], None]] = {1: _from_1}
"""Schema version -> what makes the next one of it, in a writable root."""


@dataclass(frozen=True)
class Migration:
    """What was done."""

    from_version: int
    to_version: int
    snapshot_id: str
    """Newest snapshot, migrated."""
    tag: str
    """Names the state before; "" if nothing was to be done."""

    def summary(self) -> str:
        """The migration in words."""
        if self.from_version == self.to_version:
            return f"the store has schema version {self.to_version} already; nothing to do"
        return (
            f"migrated from schema version {self.from_version} to {self.to_version}: "
            f"snapshot {self.snapshot_id}; tag {self.tag} keeps the state before"
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def migrate(cache: Cache) -> Migration:
    """Migrate the newest snapshot of a store; raises ConflictError if another writer was first."""
    with commit_lock(cache.location):
        session = cache.repository.writable_session("main")
        root = zarr.open_group(session.store, mode="r+")
        version = schema_version(root)
        if version >= SCHEMA_VERSION:
            return Migration(version, version, session.snapshot_id, "")
        tag = _tag_before(cache, version, session.snapshot_id)
        for step in range(version, SCHEMA_VERSION):
            STEPS[step](root)
        root.attrs.update(root_attributes())
        metadata = {
            "emohead": package_version(),
            "schema_version": SCHEMA_VERSION,
            "migrated_from": version,
        }
        message = f"Migrate from schema version {version} to {SCHEMA_VERSION}"
        try:
            snapshot_id = session.commit(message, metadata)
        except icechunk.ConflictError as error:
            raise ConflictError(
                f"{cache.location}: another writer committed during the migration; nothing was "
                "changed, run it again"
            ) from error
        seal(cache.location, cache.repository, snapshot_id)
    return Migration(version, SCHEMA_VERSION, snapshot_id, tag)


def _tag_before(cache: Cache, version: int, snapshot_id: str) -> str:
    """A tag on the state before: one of an interrupted migration, or a new one."""
    base = f"before-migration-from-{version}"
    tags = cache.tags()
    number = 1
    while True:
        name = base if number == 1 else f"{base}-{number}"
        if tags.get(name) == snapshot_id:
            return name
        if name not in tags:
            try:
                cache.repository.create_tag(name, snapshot_id)
                return name
            except icechunk.IcechunkError:  # a deleted name is never free again
                pass
        number += 1
        if number > 100:
            raise ConflictError(
                f"{cache.location}: no name {base}... is free for the tag of the state before: "
                "delete tags that are no longer needed"
            )
