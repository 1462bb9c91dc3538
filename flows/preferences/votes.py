"""Votes on disk: a file of lines that is only ever added to; the last word of a rater counts."""

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from filelock import FileLock

from flows.errors import FlowError

ASPECTS = ("fidelity", "coherence", "empathy")
"""The paper's three questions, in its order."""
HIGHEST = 5
FILE = "votes.jsonl"


class BadVote(FlowError):
    """A vote that is no vote; the text says what is wrong."""


@dataclass(frozen=True)
class Vote:
    """One rater's six marks for one pair."""

    rater: str
    pair: str
    a: dict[str, int]
    """Mark of the video from A, 0-5, by aspect."""
    b: dict[str, int]
    a_left: bool
    """Which side A was on, to look for a bias."""
    at: float
    """Seconds since 1970."""

    def __post_init__(self) -> None:
        """Refuse marks that the page cannot give.

        Raises:
            BadVote: a missing aspect, or a mark outside 0-5.
        """
        for marks in (self.a, self.b):
            for aspect in ASPECTS:
                mark = marks.get(aspect)
                if type(mark) is not int or not 0 <= mark <= HIGHEST:
                    raise BadVote(f"{aspect} = {mark!r}; a mark is a whole number, 0 to {HIGHEST}")
            if len(marks) != len(ASPECTS):
                raise BadVote(f"marks for {', '.join(marks)}; wanted are {', '.join(ASPECTS)}")


class Votes:
    """The file of a study. Safe for several threads and processes."""

    def __init__(self, folder: Path) -> None:
        """folder: the study's."""
        self.path = folder / FILE
        self._lock = FileLock(folder / f".{FILE}.lock")
        self._thread = Lock()

    def enrol(self, rater: str) -> int:
        """Number of a rater: the next free one for a new name."""
        with self._thread, self._lock:
            raters = self.raters()
            if rater not in raters:
                self._append({"kind": "rater", "rater": rater, "at": time.time()})
                return len(raters)
            return raters.index(rater)

    def cast(self, vote: Vote) -> None:
        """Write a vote down; it is on disk when this returns."""
        with self._thread, self._lock:
            self._append({"kind": "vote", **asdict(vote)})

    def raters(self) -> list[str]:
        """Names in the order they came."""
        return [line["rater"] for line in self._lines() if line["kind"] == "rater"]

    def latest(self) -> dict[tuple[str, str], Vote]:
        """(rater, pair) → the last vote."""
        out = {}
        for line in self._lines():
            if line["kind"] == "vote":
                fields = {k: v for k, v in line.items() if k != "kind"}
                out[line["rater"], line["pair"]] = Vote(**fields)
        return out

    def _append(self, line: dict[str, Any]) -> None:
        data = (json.dumps(line, ensure_ascii=False) + "\n").encode()
        torn = self.path.is_file() and self.path.read_bytes()[-1:] not in (b"\n", b"")
        with self.path.open("ab") as file:
            file.write(b"\n" + data if torn else data)
            file.flush()
            os.fsync(file.fileno())

    def _lines(self) -> list[dict[str, Any]]:
        """Every whole line; one that a power cut tore is left out."""
        if not self.path.is_file():
            return []
        out = []
        for text in self.path.read_text("utf-8").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and line.get("kind") in ("rater", "vote"):
                out.append(line)
        return out
