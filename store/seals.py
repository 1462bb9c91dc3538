"""Seals: checksums of the metadata files of each snapshot of a local store.

Every chunk ends in a checksum of its own. icechunk's manifests, snapshots and transaction logs do
not: in them a flipped bit can decode, and lead to another value (measured: docs/reliability.md). So
the committer writes, under the lock and after the commit, what crc32c each of these files has;
`validate` holds the files against it. A commit whose seal is missing (killed in between, or made by
another program) is as good as any other, only less guarded: the next commit seals what it needs.
On object storage the service guards its objects, and there are no seals.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import google_crc32c
import icechunk

from store.errors import CorruptionError
from store.fingerprints import canonical_json
from store.location import is_local

FOLDER = ".emohead.seals"

REF = Path("refs", "branch.main", "ref.json")
"""Where icechunk 1 keeps the branch; icechunk 2 has it in a file of its own form."""


@dataclass(frozen=True)
class Seal:
    """What the metadata files of one snapshot were when it was committed."""

    snapshot_id: str
    parent: str
    number: int
    """Seals before it in its line."""
    files: Mapping[str, tuple[int, int]]
    """Path inside the store -> bytes, crc32c."""


@dataclass(frozen=True)
class Damage:
    """A file that is not what it was."""

    path: str
    what: str


def seal(
    location: str, repository: icechunk.Repository, snapshot_id: str, _depth: int = 16
) -> None:
    """Record a snapshot's metadata files; to be called with the commit lock held.

    Files that the parent's seal knows are taken from there, so a small commit reads only what it
    wrote. Never fails: the commit is made, and a missing seal is told by `validate`.
    """
    if not is_local(location):
        return
    root = Path(location)
    with contextlib.suppress(OSError, icechunk.IcechunkError, CorruptionError):
        inside = inspect(repository, snapshot_id)
        line = list(islice(repository.ancestry(snapshot_id=snapshot_id), 2))
        parent = line[1].id if len(line) > 1 else ""  # icechunk 2 does not say it in `inspect`
        known = _read(root, parent)
        if known is None and parent and _depth and (root / FOLDER).is_dir():
            seal(location, repository, parent, _depth - 1)  # its committer died before it could
            known = _read(root, parent)
        files = {}
        for path in _needed(snapshot_id, inside):
            if known is not None and path in known.files:
                files[path] = known.files[path]
            elif (root / path).exists():
                files[path] = _measure(root / path)
        _write(root, Seal(snapshot_id, parent, known.number + 1 if known else 0, files))


def damages(location: str, snapshot_id: str, *, history: bool = False) -> list[Damage] | None:
    """Metadata files of a snapshot that changed since; None if it has no seal. With `history`,
    also the snapshot files and transaction logs of the commits before it."""
    root = Path(location)
    try:
        sealed = _read(root, snapshot_id)
    except CorruptionError as error:
        return [Damage(f"{FOLDER}/{snapshot_id}", str(error))]
    if sealed is None:
        return None
    found = list(_damages(root, sealed))
    while history and sealed is not None and sealed.parent:
        try:
            parent = _read(root, sealed.parent)
        except CorruptionError as error:
            found.append(Damage(f"{FOLDER}/{sealed.parent}", str(error)))
            break
        if parent is not None:
            own = {p: m for p, m in parent.files.items() if not p.startswith("manifests/")}
            found += _damages(root, replace(parent, files=own))
        sealed = parent
    return found


def _damages(root: Path, sealed: Seal) -> Iterator[Damage]:
    for path, (size, crc) in sealed.files.items():
        try:
            found = _measure(root / path)
        except OSError as error:
            yield Damage(path, f"cannot be read ({error.strerror or error})")
            continue
        if found[0] != size:
            yield Damage(path, f"has {found[0]} bytes, was written with {size}")
        elif found[1] != crc:
            yield Damage(path, "does not match the checksum it was written with")


def inspect(repository: icechunk.Repository, snapshot_id: str) -> dict[str, Any]:
    """What a snapshot refers to: parent, manifests, nodes with the manifests of each."""
    found: Any = repository.inspect_snapshot(snapshot_id)
    return json.loads(found) if isinstance(found, str) else found  # text until icechunk 2


def advice(location: str) -> str:
    """What is damaged in a local store that does not open, and the way back; "" if as far as the
    seals tell nothing is."""
    if not is_local(location):
        return ""
    root = Path(location)
    with contextlib.suppress(OSError):
        seals = line(root)
        if not seals:
            return ""
        broken = [f"{d.path} {d.what}" for d in damages(location, seals[0].snapshot_id) or []]
        if not broken and not _names_a_snapshot(root):
            broken = [f"{REF} names no snapshot; the newest is {seals[0].snapshot_id}"]
        if not broken:
            return ""
        good = next((s.snapshot_id for s in seals if not damages(location, s.snapshot_id)), None)
        way = (
            f"`emohead store fall-back` points main at {good}, the newest intact snapshot; the "
            "next run computes what that lacks"
            if good
            else "no snapshot is intact: bring the files back from a copy"
        )
        return f"{'; '.join(broken)}. {way}"
    return ""


def _names_a_snapshot(root: Path) -> bool:
    """False if icechunk 1's file of the branch cannot be read or names a snapshot that is not
    there."""
    if not (root / "refs").exists():
        return True
    try:
        named = json.loads((root / REF).read_bytes())["snapshot"]
        return (root / "snapshots" / named).is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def renew(location: str, untouched: set[str]) -> None:
    """After an expiry: icechunk 1 rewrites snapshot files whose history got shorter, so their
    checksums are taken anew. `untouched`: snapshots that were damaged before, left as they are.
    Seals of snapshots that are gone are deleted."""
    root = Path(location)
    if not is_local(location) or not (root / FOLDER).is_dir():
        return
    for sealed in _seals(root):
        path = f"snapshots/{sealed.snapshot_id}"
        if not (root / path).exists():
            (root / FOLDER / sealed.snapshot_id).unlink(missing_ok=True)
        elif sealed.snapshot_id not in untouched:
            now = _measure(root / path)
            if sealed.files.get(path) != now:
                files = {**sealed.files, path: now}
                _write(root, Seal(sealed.snapshot_id, sealed.parent, sealed.number, files))


def damaged_snapshots(location: str) -> set[str]:
    """Sealed snapshots whose own file changed."""
    root = Path(location)
    if not is_local(location) or not (root / FOLDER).is_dir():
        return set()
    broken = set()
    for sealed in _seals(root):
        path = f"snapshots/{sealed.snapshot_id}"
        if any(damage.path == path for damage in _damages(root, sealed)):
            broken.add(sealed.snapshot_id)
    return broken


def _needed(snapshot_id: str, inside: Mapping[str, Any]) -> Iterator[str]:
    yield f"snapshots/{snapshot_id}"
    yield f"transactions/{snapshot_id}"
    yield from (f"manifests/{manifest['id']}" for manifest in inside["manifests"])


def line(root: Path) -> list[Seal]:
    """Seals from the newest back along the parents."""
    seals = {sealed.snapshot_id: sealed for sealed in _seals(root)}
    found = []
    at = max(seals.values(), key=lambda sealed: sealed.number, default=None)
    while at is not None:
        found.append(at)
        at = seals.get(at.parent)
    return found


def _seals(root: Path) -> Iterator[Seal]:
    folder = root / FOLDER
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:
        if file.name.startswith("."):  # half of one, whose writer died
            continue
        with contextlib.suppress(CorruptionError):
            sealed = _read(root, file.name)
            if sealed is not None:
                yield sealed


def _read(root: Path, snapshot_id: str) -> Seal | None:
    """The seal of a snapshot; None if there is none. Raises CorruptionError."""
    file = root / FOLDER / snapshot_id
    if not snapshot_id or not file.is_file():
        return None
    try:
        plain = json.loads(file.read_bytes())
        crc = plain.pop("crc32c")
        if crc != google_crc32c.value(canonical_json(plain).encode()):
            raise CorruptionError(f"the seal {file} does not match its own checksum")
        files = {path: (size, crc) for path, (size, crc) in plain["files"].items()}
        return Seal(plain["snapshot"], plain["parent"], plain["number"], files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptionError(f"the seal {file} cannot be read ({error})") from error


def _write(root: Path, sealed: Seal) -> None:
    (root / FOLDER).mkdir(exist_ok=True)
    plain = {
        "snapshot": sealed.snapshot_id,
        "parent": sealed.parent,
        "number": sealed.number,
        "files": {path: list(measured) for path, measured in sealed.files.items()},
    }
    plain["crc32c"] = google_crc32c.value(canonical_json(plain).encode())
    replace_file(root / FOLDER / sealed.snapshot_id, canonical_json(plain).encode())


def replace_file(file: Path, data: bytes) -> None:
    """The whole file or the old one, whenever the writer dies."""
    new = file.with_name(f".new-{os.getpid()}-{file.name}")
    try:
        new.write_bytes(data)  # readable by whom the umask lets, as icechunk's files are
        new.replace(file)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _measure(file: Path) -> tuple[int, int]:
    data = file.read_bytes()
    return len(data), google_crc32c.value(data)
