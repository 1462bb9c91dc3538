"""A study: pairs of videos that show the same, and who sees them in which order.

Nothing a rater is sent says whose a video is. Sides are balanced twice: every rater
sees A on the left in half of the pairs (one more or less where they are odd), and the next rater
sees the same pair the other way round.
"""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from flows.errors import NothingToDo
from flows.preferences.choices import SUFFIXES, Choice, choices_of
from pipeline.encoder import sha256_of

RECORD = "study.json"


@dataclass(frozen=True)
class Pair:
    """One text said twice."""

    name: str
    """One name for one pair: what both show, and whose they are where there are more than two."""
    a: str
    b: str
    """Absolute paths."""
    a_sha256: str
    b_sha256: str
    emotion: str
    """What both should show; "" where nothing says."""
    of: tuple[int, int] = (0, 1)
    """Which of the study's names A and B are."""


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

    names: tuple[str, ...]
    """What the choices are called in the table; each two of them are compared."""
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


def open_study(
    folders: Sequence[Path],
    out: Path,
    names: Sequence[str] | None = None,
    *,
    truth: bool = False,
) -> Study:
    """The study in `out`, begun if it is not there.

    Args:
        folders: of videos of the same names, or evaluations of the same clips.
        out: the study's own.
        names: what they are called in the table.
        truth: the recorded videos of the evaluations are one more choice.

    Raises:
        NothingToDo: nothing that all folders have, or the study there is of other videos; see
            `choices_of`.
    """
    choices = choices_of(folders, truth=truth, names=names)
    pairs = _pairs(choices)
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
    called = tuple(choice.name for choice in choices)
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
        pairs = tuple(
            Pair(**{**pair, "of": tuple(pair.get("of", (0, 1)))}) for pair in told.pop("pairs")
        )
        return Study(tuple(told.pop("names")), pairs, **told)
    except (ValueError, TypeError, KeyError) as error:
        raise NothingToDo(f"{path} cannot be read ({error}); take it from a backup") from error


def _pairs(choices: Sequence[Choice]) -> list[Pair]:
    """Every two choices, in each video that all of them have."""
    common = sorted(set.intersection(*(set(choice.videos) for choice in choices)))
    if not common:
        told = " against ".join(f"{choice.folder}: {_some(choice.videos)}" for choice in choices)
        raise NothingToDo(
            f"no video has its twin in every folder ({told}); twins have the same file name, those "
            "of evaluations are of the same clip: evaluate on one store"
        )
    couples = list(combinations(range(len(choices)), 2))
    sums = {
        path: sha256_of(path) for c in choices for name, path in c.videos.items() if name in common
    }
    pairs = []
    for name in common:
        for i, j in couples:
            a, b = choices[i], choices[j]
            pairs.append(
                Pair(
                    name if len(couples) == 1 else f"{name} ({a.name}, {b.name})",
                    str(a.videos[name].resolve()),
                    str(b.videos[name].resolve()),
                    sums[a.videos[name]],
                    sums[b.videos[name]],
                    a.emotions.get(name) or b.emotions.get(name, ""),
                    (i, j),
                )
            )
    return pairs


def _some(videos: dict[str, Path]) -> str:
    return ", ".join(list(videos)[:3]) or f"no {' or '.join(SUFFIXES)} at all"
