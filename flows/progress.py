"""What is under way, how far, and when it ends: one line a step, on a terminal or in a log.

A flow says ``with step("train the head", total=3000, unit="steps") as bar: bar.advance()``; who
watches is decided once, at the command line. Seconds of every step are kept for the report.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from flows.telemetry.run_log import tell

LOG_EVERY = 5.0
"""Seconds between two lines of one step where output is not a terminal."""


def clock_text(seconds: float) -> str:
    """``75.2`` → ``1:15``; hours appear only when there are any."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@dataclass
class Step:
    """One step under way. Safe to advance from several threads."""

    name: str
    total: int | None = None
    unit: str = ""
    done: int = 0
    note: str = ""
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    watchers: list[Callable[["Step"], None]] = field(default_factory=list, repr=False)
    """Told of every advance, besides whoever looks at the terminal."""
    _printed: float = 0.0
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def seconds(self) -> float:
        """Wall seconds so far, or in all once the step has ended."""
        return (self.ended or time.monotonic()) - self.started

    def eta(self) -> float | None:
        """Seconds to the end at the mean rate so far; None while it cannot be known."""
        if not self.total or not self.done:
            return None
        return self.seconds * (self.total - self.done) / self.done

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count ``count`` more units as done."""
        self.update(self.done + count, note)

    def update(self, done: int, note: str = "") -> None:
        """Set how many units are done in all, with a short remark for whoever watches."""
        with self._lock:
            self.done, self.note = done, note or self.note
            now = time.monotonic()
            interval = 0.2 if sys.stderr.isatty() else LOG_EVERY
            if now - self._printed >= interval:
                self._printed = now
                _show(self)
        for watcher in list(self.watchers):
            watcher(self)


_finished: list[Step] = []
_quiet = False


def silence() -> None:
    """Show nothing from now on: somebody reads the structured log where the lines would go."""
    global _quiet
    _quiet = True


def _show(step: Step, *, last: bool = False) -> None:
    if _quiet:
        return
    parts = [f"  {step.name:<34}"]
    if step.total:
        parts.append(
            f"{step.done:>6}/{step.total} {step.unit:<6} {100 * step.done / step.total:3.0f} %"
        )
    eta = step.eta()
    if last:
        parts.append(f" {clock_text(step.seconds):>6}")
    elif eta is not None:
        parts.append(f" {clock_text(step.seconds):>6} ETA {clock_text(eta)}")
    if step.note:
        parts.append(f" {step.note}")
    line = "".join(parts)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" + line + ("\n" if last else ""))
    else:
        sys.stderr.write(line + "\n")
    sys.stderr.flush()


@contextmanager
def step(name: str, total: int | None = None, unit: str = "") -> Iterator[Step]:
    """Show ``name`` as under way, then how long it took."""
    under_way = Step(name, total, unit)
    tell("step began", stage=name)
    if not (_quiet or sys.stderr.isatty()):
        sys.stderr.write(f"  {name} ...\n")
        sys.stderr.flush()
    try:
        yield under_way
    finally:
        under_way.ended = time.monotonic()
        _show(under_way, last=True)
        tell("step ended", stage=name, seconds=round(under_way.seconds, 3))
        _finished.append(under_way)


def remark(text: str) -> None:
    """Say something beside the steps that whoever watches has to know."""
    tell("remark", reason=text)
    if not _quiet:
        sys.stderr.write(f"  note: {text}\n")
        sys.stderr.flush()


def finished_steps() -> list[tuple[str, float]]:
    """(name, seconds) of every step that ended in this process, in order."""
    return [(done.name, done.seconds) for done in _finished]


def forget_steps() -> None:
    """Begin a new record, for a second job in one process."""
    _finished.clear()
