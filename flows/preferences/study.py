"""A study: pairs of videos of the same name in two folders, and who sees them in which order.

Nothing a rater is sent says which folder a video is from. Sides are balanced twice: every rater
sees A on the left in half of the pairs (one more or less where they are odd), and the next rater
sees the same pair the other way round.
"""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flows.errors import NothingToDo
from pipeline.datasets.emotions import spelled_out
from pipeline.encoder import sha256_of

SUFFIXES = (".mp4", ".webm", ".m4v")
"""What every browser plays; other containers are named and refused."""
RECORD = "study.json"


@dataclass(frozen=True)
class Pair:
    """One text said twice."""

    name: str
    """The files' common name, without ending."""
    a: str
    b: str
    """Absolute paths."""
    a_sha256: str
    b_sha256: str
    emotion: str
    """What both should show; "" where nothing says."""


@dataclass(frozen=True)
class Shown:
    """A pair as one rater sees it."""

    pair: Pair
    a_left: bool

    @property
    def sides(self) -> tuple[str, str]:
        """Paths of the left and the right video."""
        return (self.pair.a, self.pair.b) if self.a_left else (self.pair.b, self.pair.a)


@dataclass(frozen=True)
class Study:
    """What is compared; stays what it is however often the page is started."""

    names: tuple[str, str]
    """What A and B are called in the table."""
    pairs: tuple[Pair, ...]
    seed: int
    token: str
    """Secret part of the address."""

    def order(self, rater: int) -> list[Shown]:
        """All pairs in the order of the rater with this number, sides chosen."""
        count = len(self.pairs)
        # One fixed shuffle gives each pair its parity; a rater's number turns all of them round.
        parity = np.random.default_rng(self.seed).permutation(count)
        walk = np.random.default_rng([self.seed, rater + 1]).permutation(count)
        return [Shown(self.pairs[i], bool((parity[i] + rater) % 2 == 0)) for i in walk]

    def code(self, rater: int, place: int, side: int) -> str:
        """Name under which a rater's browser asks for a video; says nothing about its folder."""
        text = f"{self.token}/{rater}/{place}/{side}"
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def record(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def open_study(a: Path, b: Path, out: Path, names: tuple[str, str] | None = None) -> Study:
    """The study in `out`, begun if it is not there.

    Raises:
        NothingToDo: no two videos have the same name, or the study there is of other videos.
    """
    pairs = _pairs(a, b)
    path = out / RECORD
    if path.is_file():
        kept = read_study(out)
        changed = [p.name for p in kept.pairs if p not in pairs]
        if changed or len(kept.pairs) != len(pairs):
            what = f"{changed[0]!r} is not what it was" if changed else "there are more pairs now"
            raise NothingToDo(
                f"{path} is a study of other videos ({what}); its votes stay valid for those: "
                "give another --out, or the folders it was begun with"
            )
        return kept
    called = names or _names(a, b)
    study = Study(called, tuple(pairs), secrets.randbelow(2**31), secrets.token_urlsafe(16))
    out.mkdir(parents=True, exist_ok=True)
    draft = out / f".{RECORD}"
    draft.write_text(json.dumps(study.record(), indent=1), "utf-8")
    draft.chmod(0o600)  # it holds the token
    draft.replace(path)
    return study


def read_study(out: Path) -> Study:
    """The study of a folder.

    Raises:
        NothingToDo: there is none, or it cannot be read.
    """
    path = out / RECORD
    if not path.is_file():
        raise NothingToDo(f"{out} holds no study; `emohead preferences serve A/ B/ --out {out}`")
    try:
        told = json.loads(path.read_text("utf-8"))
        pairs = tuple(Pair(**pair) for pair in told.pop("pairs"))
        first, second = told.pop("names")
        return Study((first, second), pairs, **told)
    except (ValueError, TypeError, KeyError) as error:
        raise NothingToDo(f"{path} cannot be read ({error}); take it from a backup") from error


def _pairs(a: Path, b: Path) -> list[Pair]:
    ours, theirs = _videos(a), _videos(b)
    common = sorted(set(ours) & set(theirs))
    if not common:
        raise NothingToDo(
            f"no video of {a} has its twin in {b}: {_some(ours)} against {_some(theirs)}; twins "
            "have the same file name"
        )
    return [
        Pair(
            name,
            str(ours[name].resolve()),
            str(theirs[name].resolve()),
            sha256_of(ours[name]),
            sha256_of(theirs[name]),
            _emotion(ours[name]) or _emotion(theirs[name]),
        )
        for name in common
    ]


def _videos(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise NothingToDo(f"{folder} is no folder; give two folders of videos")
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES}


def _emotion(video: Path) -> str:
    """What a video should show: by the record beside it, else by a word of its name."""
    beside = video.with_suffix(".json")
    if beside.is_file():
        try:
            told = json.loads(beside.read_text("utf-8")).get("emotion")
        except (ValueError, AttributeError):
            told = None
        if isinstance(told, str) and told:
            return told
    words = video.stem.replace("-", "_").replace("#", "_").split("_")
    return next((tag for word in words if (tag := spelled_out(word))), "")


def _names(a: Path, b: Path) -> tuple[str, str]:
    return (a.name, b.name) if a.name != b.name else (str(a), str(b))


def _some(videos: dict[str, Path]) -> str:
    return ", ".join(list(videos)[:3]) or f"no {' or '.join(SUFFIXES)} at all"
