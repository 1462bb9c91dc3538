"""A clip before anything is computed of it: which bytes, which stretch, who and how."""

import hashlib
import json
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from pipeline.transcript import Transcript


@dataclass(frozen=True)
class ClipSource:
    """One continuous recording of one identity: a file, or a range of it."""

    clip_id: str
    """Readable and unique: name, range, and the first 12 digits of the bytes' sha256."""
    content: str
    """Hash of all that its features depend on: bytes, range, known words."""
    path: Path
    sha256: str
    """Of the whole file's bytes."""
    start: Fraction | None
    """Seconds from the file's first frame; None from the beginning."""
    end: Fraction | None
    """Seconds from the file's first frame; None to the end."""
    dataset: str
    """Corpus whose naming was recognised."""
    identity: str
    emotion: str | None
    """Canonical tag."""
    intensity: int | None
    """Level within the corpus, 1 lowest."""
    view: str | None
    sentence: str | None
    split: str | None
    """"train", "test" or None where the corpus does not say."""
    transcript: Transcript | None
    size: int
    """Bytes of the file."""
    mtime_ns: int
    """Modification time of the file; -1 if it was too young to be relied on."""
    remote: str = ""
    """Where the file is if not on this machine (`path` is then its place below the source, and
    `mtime_ns` a number made of what the server says of its state)."""
    seconds: Fraction | None = None
    """Length of the clip; None where an earlier scan measured it and this one did not."""

    @property
    def uri(self) -> str:
        """Where the file is."""
        return self.remote or str(self.path)


def clip_id(stem: str, sha256: str, start: Fraction | None, end: Fraction | None) -> str:
    """Name of a clip: equal bytes and range give equal ids, under one file name."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:48] or "clip"
    stretch = ""
    if start is not None or end is not None:
        stop = "end" if end is None else f"{float(end):.2f}"
        stretch = f"-{float(start or 0):.2f}-{stop}"
    return f"{readable}{stretch}-{sha256[:12]}"


def content_hash(
    sha256: str, start: Fraction | None, end: Fraction | None, transcript: Transcript | None
) -> str:
    """Hash of the bytes, the range and the words that are known."""
    words: list[object] = []
    if transcript is not None:
        timed = [(w.text, w.start, w.end) for w in (*transcript.words, *transcript.phonemes)]
        words = [transcript.text, transcript.source, timed]
    parts = [sha256, *(None if t is None else str(t) for t in (start, end)), words]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
