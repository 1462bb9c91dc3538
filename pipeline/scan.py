"""From a folder to clips: which files are videos, whose, what they say, and which are refused."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from pipeline import media
from pipeline.datasets import CORPORA, Label, plain
from pipeline.datasets.sidecar import label_from, read_sidecar
from pipeline.errors import InputError, MediaError
from pipeline.file_state import KnownFiles, file_state, known_state
from pipeline.media_video import find_cuts
from pipeline.source import ClipSource, clip_id, content_hash
from pipeline.stretches import KnownClips, stretches, within

SHORTEST_SHOT = 1
"""Seconds; shots below this are left out, with the reason."""

__all__ = ["ClipSource", "ScanResult", "scan"]


@dataclass
class ScanResult:
    """What a folder holds."""

    clips: list[ClipSource] = field(default_factory=list)
    rejected: list[tuple[Path, str]] = field(default_factory=list)
    """Files named like videos, or listed in the table, that cannot be used, and why."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Other files, counted by ending."""
    away: set[str] = field(default_factory=set)
    """URIs of remote files that could not be brought here this time."""


def scan(
    folder: Path,
    dataset: str = "auto",
    *,
    shots: bool = False,
    known: KnownFiles | None = None,
    clips: Mapping[str, str] | None = None,
    length: Callable[[Path], Fraction] = media.length,
) -> ScanResult:
    """Find the clips of a folder (or of one file). Reads headers and hashes, decodes nothing.

    A file that `known` and `clips` tell of is looked at (size, time) and not opened. So a file
    whose bytes changed under the same size and the same modification time goes unseen: scan
    without `known` to hash everything anew.

    Args:
        folder: searched with all folders below it, in the order of names.
        dataset: a corpus of `pipeline.datasets.CORPORA`, or `auto`: each file by its own name.
        shots: decode every file once and make each shot a clip of its own.
        known: hashes of files seen before; a file of the same path, size and modification time is
            not read to hash it.
        clips: clip id -> content of clips that an earlier scan found; a file whose clips are all
            among them is not opened for its length.
        length: seconds of a file that must be opened; raises the MediaError that refuses it.

    Raises:
        InputError: no such folder or corpus, no video in it, or a table that cannot be read.
    """
    folder = Path(folder)
    if dataset != "auto" and dataset not in CORPORA:
        raise InputError(f"no corpus {dataset!r}; use auto, {', '.join(CORPORA)}")
    if not folder.exists():
        raise InputError(f"{folder} is not there; give the folder that holds the videos")
    root = folder if folder.is_dir() else folder.parent
    told = plain.read_table(root)
    result = ScanResult()
    look = _Look(root, dataset, shots, known or {}, KnownClips(clips or {}), result, length)
    for path in _files(folder):
        if path.suffix.lower() not in media.MEDIA_SUFFIXES:
            result.skipped[path.suffix.lower() or "(none)"] += 1
            continue
        try:
            _add(path, told.pop(path, None), look)
        except (MediaError, InputError) as reason:
            result.rejected.append((path, str(reason)))
    for path in told:
        result.rejected.append((path, f"listed in {plain.TABLE} but not there"))
    if not result.clips and not result.rejected:
        held = ", ".join(f"{n} {suffix}" for suffix, n in result.skipped.most_common(5))
        raise InputError(
            f"no videos in {folder} (it holds {held or 'nothing'}); "
            f"names must end in {', '.join(sorted(media.MEDIA_SUFFIXES))}"
        )
    return result


@dataclass
class _Look:
    """What one scan knows and finds."""

    root: Path
    dataset: str
    shots: bool
    known: KnownFiles
    clips: KnownClips
    result: ScanResult
    length: Callable[[Path], Fraction]
    seen: dict[str, Path] = field(default_factory=dict)
    """Hash of a file -> the file."""


def _add(path: Path, rows: list[Label] | None, look: _Look) -> None:
    """Add the clips of one file; raise the reason why there are none."""
    name, label = _label(path, look.root, look.dataset)
    labels = rows or [label]
    if all(label.bad for label in labels):
        raise InputError(labels[0].bad or "")
    state = known_state(path, look.known)
    # At a first scan a file is opened before it is hashed: most that are no video end here. Later
    # a file that was moved or touched is known by its hash.
    length = look.length(path) if state is None and not look.clips else None
    state = state or file_state(path, look.known)
    digest = state.sha256
    found = None if look.shots else look.clips.stretches(path.stem, digest, labels)
    if found is None and length is None:
        length = look.length(path)
    if digest in look.seen:
        raise InputError(f"the same bytes as {look.seen[digest]}")
    look.seen[digest] = path
    cuts = find_cuts(path) if look.shots else []
    for number, label in enumerate(labels):
        cut = stretches(label, length, path, cuts) if length is not None else (found or [])[number]
        for start, end in cut:
            if cuts and length is not None and (end or length) - (start or 0) < SHORTEST_SHOT:
                why = f"a shot of {float((end or length) - (start or 0)):.2f} s at "
                why += f"{float(start or 0):.2f} s; at least {SHORTEST_SHOT} s make a clip"
                look.result.rejected.append((path, why))
                continue
            transcript = within(label.transcript, start, end)
            look.result.clips.append(
                ClipSource(
                    clip_id=clip_id(path.stem, digest, start, end),
                    content=content_hash(digest, start, end, transcript),
                    path=path,
                    sha256=digest,
                    start=start,
                    end=end,
                    dataset=plain.NAME if rows else name,
                    identity=label.identity,
                    emotion=label.emotion,
                    intensity=label.intensity,
                    view=label.view,
                    sentence=label.sentence,
                    split=label.split,
                    transcript=transcript,
                    size=state.size,
                    mtime_ns=state.mtime_ns,
                    seconds=None if length is None else min(end or length, length) - (start or 0),
                )
            )


def _label(path: Path, root: Path, dataset: str) -> tuple[str, Label]:
    """The corpus a file belongs to and what it says of it; a sidecar has the last word."""
    asked = CORPORA if dataset == "auto" else {dataset: CORPORA[dataset]}
    for name, describe in asked.items():
        label = describe(path, root)
        if label is not None:
            told = read_sidecar(path)
            if told is not None:
                label = label_from(told, f"sidecar {path.stem}.json", label)
            return name, label
    raise InputError(f"{path.name} does not follow the names of {dataset}; use auto")


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder, sorted, without hidden ones."""
    if folder.is_file():
        yield folder
        return
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(top) / name
