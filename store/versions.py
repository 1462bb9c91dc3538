"""Which emohead may read and which may write a store: the mark at its root.

The mark holds the schema version of the store, and the oldest schema versions whose programs may
read it and write it. So a later emohead can add something that older ones need not know
(`min_reader` stays) or must not leave out (`min_writer` rises), and an older one refuses instead of
harming. Stores of version 1 have the version alone.
"""

import importlib.metadata
from collections.abc import Mapping
from typing import Any

import zarr

from store.errors import SchemaError, VersionError
from store.schema import MIN_READER, MIN_WRITER, OLDEST_READABLE, SCHEMA_VERSION

MARK = "emohead_store"
"""Attribute of the root group."""


def package_version() -> str:
    """Version of the installed emohead."""
    try:
        return importlib.metadata.version("emohead")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def root_attributes() -> dict[str, Any]:
    """Attributes that make a zarr root an emohead store of today's form."""
    mark = {
        "schema_version": SCHEMA_VERSION,
        "min_reader": MIN_READER,
        "min_writer": MIN_WRITER,
        "emohead": package_version(),
    }
    return {MARK: mark}


def schema_version(root: zarr.Group) -> int:
    """Schema version of a store whose root `check_root` let pass."""
    mark: Any = root.attrs[MARK]
    return int(mark["schema_version"])


def check_root(root: zarr.Group, location: str) -> None:
    """Refuse to read a root that this program would misread; raises VersionError, SchemaError."""
    mark = _mark(root, location)
    version, needed = mark["schema_version"], mark.get("min_reader", mark["schema_version"])
    if needed > SCHEMA_VERSION:
        raise VersionError(
            f"{location} has schema version {version}{_made_by(mark)} and needs a reader of at "
            f"least {needed}; this emohead ({package_version()}) reads up to {SCHEMA_VERSION}: "
            "update emohead"
        )
    if version < OLDEST_READABLE:
        raise VersionError(
            f"{location} has schema version {version}, this emohead ({package_version()}) reads "
            f"{OLDEST_READABLE} to {SCHEMA_VERSION}: migrate it with an older emohead first"
        )


def check_writable(root: zarr.Group, location: str) -> None:
    """Refuse to write where another form is kept; raises VersionError, SchemaError."""
    mark = _mark(root, location)
    version, needed = mark["schema_version"], mark.get("min_writer", mark["schema_version"])
    if needed > SCHEMA_VERSION:
        raise VersionError(
            f"{location} has schema version {version}{_made_by(mark)} and needs a writer of at "
            f"least {needed}; this emohead ({package_version()}) writes {SCHEMA_VERSION}: "
            "update emohead (reading works as it is)"
        )
    if version < SCHEMA_VERSION:
        raise VersionError(
            f"{location} has schema version {version}, this emohead ({package_version()}) writes "
            f"{SCHEMA_VERSION}: run `emohead store migrate {location}` (one commit; a tag keeps "
            "the state before it), or write with the emohead that made the store. Reading works "
            "as it is"
        )


def _mark(root: zarr.Group, location: str) -> Mapping[str, Any]:
    mark = root.attrs.get(MARK)
    if not isinstance(mark, Mapping):
        raise SchemaError(
            f"{location} is an icechunk repository but not an emohead store: "
            "give the folder of a store, or a new folder with create"
        )
    numbers = (mark.get("schema_version"), mark.get("min_reader", 0), mark.get("min_writer", 0))
    if not all(isinstance(number, int) for number in numbers):
        raise VersionError(
            f"{location} has schema version {mark.get('schema_version')!r}, which this emohead "
            f"({package_version()}, schema {SCHEMA_VERSION}) does not understand: update emohead"
        )
    return mark


def _made_by(mark: Mapping[str, Any]) -> str:
    return f" (made by emohead {mark['emohead']})" if "emohead" in mark else ""
