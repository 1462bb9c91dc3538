"""A file's content hash, without reading the file again where it cannot have changed."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.encoder import sha256_of

KnownFiles = Mapping[tuple[str, int, int], str]
"""(path, size, mtime_ns) of files hashed before -> sha256."""

SETTLED_NS = 2_000_000_000
"""Age at which a modification time can be relied on: on coarse clocks (2 s on FAT) a file written
again right after it was hashed keeps its time, and may keep its size."""


class FileState(NamedTuple):
    """What a file was when it was hashed."""

    sha256: str
    size: int
    """Bytes."""
    mtime_ns: int
    """-1 where the file was too young, or changed meanwhile: it is hashed again next time."""


def known_state(path: Path, known: KnownFiles) -> FileState | None:
    """What `known` says of a file of this path, size and modification time."""
    now = path.stat()
    digest = known.get((str(path), now.st_size, now.st_mtime_ns))
    return None if digest is None else FileState(digest, now.st_size, now.st_mtime_ns)


def file_state(path: Path, known: KnownFiles) -> FileState:
    """Hash a file, or take its hash from `known` if path, size and modification time are there."""
    if (state := known_state(path, known)) is not None:
        return state
    before = path.stat()
    now = time.time_ns()
    digest = sha256_of(path)
    after = path.stat()
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    settled = same and before.st_mtime_ns < now - SETTLED_NS
    return FileState(digest, after.st_size, before.st_mtime_ns if settled else -1)
