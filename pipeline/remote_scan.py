"""From a bucket or a list of URLs to clips: what is known by size and ETag is not brought here.

The source is mirrored as a folder of empty files with the right names, so that corpora, tables and
sidecars are read by the same code as on a disk. Small files beside the videos are brought whole;
a video is brought, hashed, measured and deleted once, and remembered in the scratch folder.
"""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from threading import Lock

from pipeline import media
from pipeline.encoder import sha256_of
from pipeline.errors import InputError, MediaError, SourceAway
from pipeline.file_state import KnownFiles
from pipeline.remote import RemoteFile, fetch, files_of, is_remote
from pipeline.scan import ScanResult, scan
from pipeline.scratch import Room, own_folder, scratch_bytes, scratch_folder

SIDE_SUFFIXES = (".json", ".csv", ".parquet", ".textgrid", ".vtt", ".srt", ".txt", ".lab", ".align")
"""Endings of the files beside videos that may tell of them."""
SIDE_BYTES = 256 << 20
"""A longer one is not brought."""
AT_ONCE = 4
"""Videos brought at a time."""
MEMORY = "seen.jsonl"
"""File in the scratch folder: what videos were found to be."""
AWAY = "out of reach: "
"""How the reason begins of a video that could not be brought this time."""


@dataclass(frozen=True)
class Seen:
    """What a video was found to be."""

    sha256: str = ""
    seconds: Fraction | None = None
    refused: str = ""
    """Why it is no usable video."""


def scan_source(
    source: str | Path,
    dataset: str = "auto",
    *,
    shots: bool = False,
    known: KnownFiles | None = None,
    clips: Mapping[str, str] | None = None,
    rehash: bool = False,
) -> ScanResult:
    """`pipeline.scan.scan`, of a folder here, a bucket, or a list of URLs.

    With `rehash` nothing that is known of a file spares reading it.

    Raises:
        InputError: as `scan`; or shots of a remote source are asked for.
        SourceAway: the server does not answer.
    """
    known = None if rehash else known
    if not is_remote(source):
        # Absolute: workers elsewhere, later scans and the clip table must mean the same file.
        return scan(Path(source).absolute(), dataset, shots=shots, known=known, clips=clips)
    if shots:
        raise InputError(
            f"{source}: shots are found by decoding every file, which is done only where the files "
            "are: copy them here, or leave --shots out"
        )
    uri = str(source)
    files, missing = files_of(uri)
    with tempfile.TemporaryDirectory(dir=own_folder(), prefix="mirror-") as top:
        above = files[0].above if files else ""
        root = Path(top, *(part for part in above.split("/") if part not in ("", ".", "..")))
        mirror = Mirror(root, files, dict(known or {}), remembered=not rehash)
        mirror.look()
        try:
            found = scan(root, dataset, known=mirror.known, clips=clips, length=mirror.length)
        except InputError as error:
            raise InputError(str(error).replace(str(root), uri)) from error
    return _told(found, mirror, missing, uri)


def _told(
    found: ScanResult, mirror: "Mirror", missing: Sequence[tuple[str, str]], uri: str
) -> ScanResult:
    """The result in the source's own names."""
    root = mirror.root
    found.clips = [
        replace(
            clip,
            path=clip.path.relative_to(root),
            remote=mirror.files[clip.path].uri,
            mtime_ns=mirror.files[clip.path].token,
        )
        for clip in found.clips
    ]
    found.rejected = [
        (path.relative_to(root), why.replace(f"{root}/", "").replace(str(root), uri))
        for path, why in found.rejected
    ]
    listed = {str(path) for path, _ in found.rejected}
    found.rejected += [(Path(name), why) for name, why in missing if name not in listed]
    found.skipped += mirror.skipped
    found.away = set(mirror.away)
    return found


class Mirror:
    """A folder that looks like the source."""

    def __init__(
        self,
        root: Path,
        files: Sequence[RemoteFile],
        known: KnownFiles,
        *,
        remembered: bool = True,
    ) -> None:
        """`known`: (uri, size, token) -> sha256 of files whose clips the store has; `remembered`:
        whether what earlier scans found counts."""
        self.root = root
        self.files = {root / file.name: file for file in files}
        self.known: dict[tuple[str, int, int], str] = {}
        """The same by path in the mirror, completed by what was brought."""
        self.away: list[str] = []
        """URIs that could not be brought."""
        self.skipped: Counter[str] = Counter()
        """Files of no use, by ending."""
        self._stored = known
        self._seen: dict[Path, Seen] = {}
        self._memory = Memory(scratch_folder() / MEMORY)
        self._remembered = remembered
        self._room = Room(scratch_bytes())

    def look(self) -> None:
        """Make the folder; bring what nobody knows.

        Raises:
            SourceAway: a table or sidecar cannot be brought: labels would be wrong without it.
        """
        videos = []
        for path, file in self.files.items():
            if path.suffix.lower() in media.MEDIA_SUFFIXES:
                path.parent.mkdir(parents=True, exist_ok=True)
                videos.append(path)
            elif path.suffix.lower() in SIDE_SUFFIXES and (file.size or 0) <= SIDE_BYTES:
                fetch(file.uri, path, file.size, SIDE_BYTES)
            else:
                self.skipped[path.suffix.lower() or "(none)"] += 1
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for path, seen in zip(videos, pool.map(self._video, videos), strict=True):
                self._seen[path] = seen

    def _video(self, path: Path) -> Seen:
        """What a video is; its place in the mirror is taken by an empty file of its size."""
        file = self.files[path]
        key = _key(file)
        seen = self._memory.of(key) if self._remembered else None
        if seen is None and key in self._stored and file.token >= 0:
            seen = Seen(self._stored[key])
        if seen is None:
            seen = self._bring(path, file)
            if file.token >= 0 and not seen.refused.startswith(AWAY):
                self._memory.keep(key, seen)
        size = file.size or 0
        with path.open("wb") as empty:
            os.truncate(empty.fileno(), size)
        os.utime(path, ns=(max(file.token, 0), max(file.token, 0)))
        if seen.sha256:
            self.known[str(path), size, path.stat().st_mtime_ns] = seen.sha256
        return seen

    def _bring(self, path: Path, file: RemoteFile) -> Seen:
        with self._room.of(self._room.size if file.size is None else file.size):
            try:
                fetch(file.uri, path, file.size, self._room.size)
                seconds = media.length(path)
                return Seen(sha256_of(path), seconds)
            except (SourceAway, InputError) as reason:
                self.away.append(file.uri)
                return Seen(refused=f"{AWAY}{reason}")
            except MediaError as reason:
                return Seen(refused=str(reason))
            finally:
                path.unlink(missing_ok=True)

    def length(self, path: Path) -> Fraction:
        """Seconds of a video, as `media.length`; one that is only known by its hash is brought.

        Raises:
            MediaError: it is no usable video, or out of reach.
        """
        seen = self._seen[path]
        if not seen.refused and seen.seconds is None:
            file = self.files[path]
            aside = own_folder() / "again" / path.name
            seen = self._seen[path] = self._bring(aside, file)
            if seen.seconds is not None:
                self._memory.keep(_key(file), seen)
        if seen.refused or seen.seconds is None:
            raise MediaError(seen.refused)
        return seen.seconds


def _key(file: RemoteFile) -> tuple[str, int, int]:
    return file.uri, -1 if file.size is None else file.size, file.token


class Memory:
    """What videos were found to be, over many scans; another version of emohead looks again."""

    def __init__(self, path: Path) -> None:
        """`path`: of the file; lines that cannot be read are passed over."""
        self._path = path
        self._lock = Lock()
        self._known: dict[tuple[str, int, int], Seen] = {}
        if path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    told = json.loads(line)
                    seconds = None if told["seconds"] is None else Fraction(told["seconds"])
                    if told["emohead"] == version("emohead"):
                        key = (str(told["uri"]), int(told["size"]), int(told["token"]))
                        self._known[key] = Seen(told["sha256"], seconds, told["refused"])
                except (ValueError, KeyError, TypeError):
                    continue

    def of(self, key: tuple[str, int, int]) -> Seen | None:
        """What is known of (uri, size, token)."""
        return self._known.get(key)

    def keep(self, key: tuple[str, int, int], seen: Seen) -> None:
        """Remember."""
        uri, size, token = key
        line = json.dumps(
            {
                "uri": uri, "size": size, "token": token, "sha256": seen.sha256,
                "seconds": None if seen.seconds is None else str(seen.seconds),
                "refused": seen.refused, "emohead": version("emohead"),
            }
        )  # fmt: skip
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            self._known[key] = seen
            file.write(line + "\n")
