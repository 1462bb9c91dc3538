"""From a folder to clips: which files are videos, whose, what they say, and which are refused."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from pipeline import clock, media
from pipeline.datasets import CORPORA, Label, plain
from pipeline.datasets.sidecar import label_from, read_sidecar
from pipeline.errors import InputError, MediaError
from pipeline.file_state import KnownFiles, file_state
from pipeline.media_video import find_cuts
from pipeline.source import ClipSource, clip_id, content_hash
from pipeline.transcript import Transcript, Word

LONGEST = 60
"""Seconds; a longer recording is cut into equal clips no longer than this."""
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


def scan(
    folder: Path,
    dataset: str = "auto",
    *,
    shots: bool = False,
    known: KnownFiles | None = None,
) -> ScanResult:
    """Find the clips of a folder (or of one file). Reads headers and hashes, decodes nothing.

    Args:
        folder: searched with all folders below it, in the order of names.
        dataset: a corpus of `pipeline.datasets.CORPORA`, or `auto`: each file by its own name.
        shots: decode every file once and make each shot a clip of its own.
        known: hashes of files seen before; a file of the same path, size and modification time is
            not read to hash it.

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
    seen: dict[str, Path] = {}
    for path in _files(folder):
        if path.suffix.lower() not in media.MEDIA_SUFFIXES:
            result.skipped[path.suffix.lower() or "(none)"] += 1
            continue
        try:
            _add(path, root, dataset, told.pop(path, None), seen, result, shots, known or {})
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


def _add(
    path: Path,
    root: Path,
    dataset: str,
    rows: list[Label] | None,
    seen: dict[str, Path],
    result: ScanResult,
    shots: bool,
    known: KnownFiles,
) -> None:
    """Add the clips of one file; raise the reason why there are none."""
    name, label = _label(path, root, dataset)
    labels = rows or [label]
    if all(label.bad for label in labels):
        raise InputError(labels[0].bad or "")
    length = media.length(path)
    state = file_state(path, known)
    digest = state.sha256
    if digest in seen:
        raise InputError(f"the same bytes as {seen[digest]}")
    seen[digest] = path
    cuts = find_cuts(path) if shots else []
    for label in labels:
        for start, end in _stretches(label, length, path, cuts):
            if cuts and (end or length) - (start or 0) < SHORTEST_SHOT:
                why = f"a shot of {float((end or length) - (start or 0)):.2f} s at "
                why += f"{float(start or 0):.2f} s; at least {SHORTEST_SHOT} s make a clip"
                result.rejected.append((path, why))
                continue
            transcript = _within(label.transcript, start, end)
            result.clips.append(
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


def _stretches(
    label: Label, length: Fraction, path: Path, cuts: Sequence[Fraction]
) -> Iterator[tuple[Fraction | None, Fraction | None]]:
    """The label's range, split at cuts, and cut on whole frames where it is too long for a clip."""
    begin, stop = label.start or Fraction(0), label.end
    if begin >= length:
        raise MediaError(
            f"{path.name}: the clip begins at {float(begin):.2f} s, "
            f"the file ends at {float(length):.2f} s"
        )
    inside = [cut for cut in cuts if begin < cut < min(stop or length, length)]
    for start, end in pairwise([label.start, *inside, stop]):
        yield from _pieces(start, end, length)


def _pieces(
    start: Fraction | None, end: Fraction | None, length: Fraction
) -> Iterator[tuple[Fraction | None, Fraction | None]]:
    """Equal pieces of at most `LONGEST` seconds, whole frames long."""
    begin = start or Fraction(0)
    span = min(end or length, length) - begin
    pieces = -int(-span // LONGEST)
    if pieces <= 1:
        yield start, end
        return
    frames = -int(-(span * clock.FPS) // pieces)
    step = Fraction(frames, clock.FPS)
    for number in range(pieces):
        last = number == pieces - 1
        yield begin + number * step, end if last else begin + (number + 1) * step


def _within(
    transcript: Transcript | None, start: Fraction | None, end: Fraction | None
) -> Transcript | None:
    """The words of a stretch, on its own clock; None where only the whole sentence is known."""
    if transcript is None or (start is None and end is None):
        return transcript
    if not transcript.words:
        return None
    low, high = float(start or 0), float("inf") if end is None else float(end)

    def cut(words: tuple[Word, ...]) -> tuple[Word, ...]:
        inside = [w for w in words if w.start >= low and w.end <= high]
        return tuple(replace(w, start=w.start - low, end=w.end - low) for w in inside)

    words = cut(transcript.words)
    text = " ".join(word.text for word in words)
    return Transcript(text, words, cut(transcript.phonemes), transcript.source)


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
