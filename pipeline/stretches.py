"""Which stretches of a file become clips: told ranges, shots, and pieces of what is too long."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from pipeline import clock
from pipeline.datasets import Label
from pipeline.errors import MediaError
from pipeline.source import clip_id, content_hash
from pipeline.transcript import Transcript, Word

LONGEST = 60
"""Seconds; a longer recording is cut into equal clips no longer than this."""

Stretch = tuple[Fraction | None, Fraction | None]
"""Start and end in seconds; None: from the file's beginning, to its end."""

_CUT = re.compile(r"-(\d+\.\d\d)-(\d+\.\d\d|end)-([0-9a-f]{12})$")


class KnownClips:
    """Clips that an earlier scan found: how they were cut need not be found out again.

    A stretch of the same bytes that was one clip then is one clip now, and so are the pieces of a
    recording if all of them are known. Content hashes hold the exact times and words: ids, which
    round to 0.01 s, only lead to them.
    """

    def __init__(self, content: Mapping[str, str]) -> None:
        """`content`: clip id -> content hash."""
        self._content = content

    def __bool__(self) -> bool:
        """Whether any clip is known."""
        return bool(self._content)

    def stretches(
        self, stem: str, sha256: str, labels: Sequence[Label]
    ) -> list[list[Stretch]] | None:
        """Stretches of each label of a file; None where they are not all known."""
        found = [self._of(stem, sha256, label) for label in labels] if self._content else []
        known = [stretch for stretch in found if stretch]
        return known if known and len(known) == len(labels) else None

    def _of(self, stem: str, sha256: str, label: Label) -> list[Stretch]:
        if self._holds(stem, sha256, label, (label.start, label.end)):
            return [(label.start, label.end)]
        pieces = self._pieces.get(sha256[:12], {})
        chain: list[Stretch] = []
        begin = label.start or Fraction(0)
        while begin in pieces:
            end = pieces[begin]
            chain.append((begin, end))
            if not self._holds(stem, sha256, label, chain[-1]):
                return []
            if end == label.end:
                return chain
            if end is None or end <= begin:
                return []
            begin = end
        return []

    def _holds(self, stem: str, sha256: str, label: Label, stretch: Stretch) -> bool:
        start, end = stretch
        content = self._content.get(clip_id(stem, sha256, start, end))
        if content is None:
            return False
        return content == content_hash(sha256, start, end, within(label.transcript, start, end))

    @cached_property
    def _pieces(self) -> dict[str, dict[Fraction, Fraction | None]]:
        """First digits of a file's hash -> start of a piece -> its end."""
        found: dict[str, dict[Fraction, Fraction | None]] = {}
        for name in self._content:
            if told := _CUT.search(name):
                start, end, digest = told.groups()
                stop = None if end == "end" else Fraction(end)
                found.setdefault(digest, {})[Fraction(start)] = stop
        return found


def stretches(
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


def within(
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
