"""Metrics of a run, for Prometheus: as a text file for node_exporter, or served over HTTP.

`--metrics FILE.prom` or `--metrics 127.0.0.1:9464` (or EMOHEAD_METRICS). Counters begin at zero
with each process, as Prometheus expects; names and units follow its conventions.
"""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from flows.errors import FlowError
from flows.telemetry.reasons import kind_of

if TYPE_CHECKING:
    from flows.workers import ClipRecord

MOST_REASONS = 50
"""Kinds of reasons told apart; Prometheus keeps every label value for ever."""


class Metrics:
    """What is counted while clips are preprocessed."""

    def __init__(self, target: str) -> None:
        """`target`: a file to write after every commit, or an address to serve at.

        Raises:
            FlowError: the address is taken, or the file's folder is not there.
        """
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        registry = CollectorRegistry()
        self._registry = registry
        self._reasons: set[str] = set()
        self.stage_seconds = Counter(
            "emohead_stage_seconds", "Worker seconds spent in a stage", ["stage"], registry=registry
        )
        self.frames = Counter("emohead_frames", "Frames processed", registry=registry)
        self.clips = Counter(
            "emohead_clips",
            "Clips processed: valid (all cells), partial (some), rejected (none), away (no answer)",
            ["result"],
            registry=registry,
        )
        self.rejected = Counter(
            "emohead_rejected_cells", "Cells rejected, by kind of reason", ["reason"],
            registry=registry,
        )  # fmt: skip
        self.stored = Counter(
            "emohead_stored_bytes", "Bytes written to the store", registry=registry
        )
        self.commits = Histogram(
            "emohead_commit_seconds", "Seconds a commit took", registry=registry,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
        )  # fmt: skip
        self.waiting = Gauge("emohead_waiting_clips", "Clips planned, not done", registry=registry)
        self.workers = Gauge("emohead_workers", "Workers of the run", registry=registry)
        self.ended = Gauge(
            "emohead_last_commit_timestamp_seconds", "When the newest commit was made",
            registry=registry,
        )  # fmt: skip
        self._file = self._serve_or_file(target)

    def _serve_or_file(self, target: str) -> Path | None:
        host, colon, port = target.rpartition(":")
        if not (colon and port.isdigit()):
            if not Path(target).absolute().parent.is_dir():
                raise FlowError(f"--metrics {target}: its folder is not there; make it first")
            return Path(target)
        from prometheus_client import start_http_server

        try:
            start_http_server(int(port), host or "127.0.0.1", self._registry)
        except OSError as error:
            raise FlowError(
                f"--metrics {target}: nobody can be served there ({error.strerror}); give "
                "another port, or a file"
            ) from error
        return None

    def clip(self, record: "ClipRecord") -> None:
        """Count a clip that is done."""
        for stage, seconds in record.seconds.items():
            self.stage_seconds.labels(stage).inc(seconds)
        self.frames.inc(record.frames)
        self.clips.labels(result_of(record)).inc()
        for reason in record.rejected.values():
            self.rejected.labels(self._kind(reason)).inc()
        self.stored.inc(record.stored_bytes or 0)

    def _kind(self, reason: str) -> str:
        kind = kind_of(reason)
        if kind not in self._reasons and len(self._reasons) >= MOST_REASONS:
            return "other"
        self._reasons.add(kind)
        return kind

    def committed(self, seconds: float) -> None:
        """Count a commit."""
        self.commits.observe(seconds)
        self.ended.set(time.time())
        self.write()

    def write(self) -> None:
        """Bring the file up to date, where there is one: whole or not at all.

        Raises:
            FlowError: it cannot be written.
        """
        if self._file is None:
            return
        from prometheus_client import write_to_textfile

        try:
            write_to_textfile(str(self._file), self._registry)
        except OSError as error:
            raise FlowError(f"--metrics {self._file} cannot be written: {error}") from error


def result_of(record: "ClipRecord") -> str:
    """What became of a clip, in one word."""
    if not record.rejected:
        return "valid"
    if record.computed:
        return "partial"
    from flows.workers import AWAY

    away: Iterable[bool] = (reason.startswith(AWAY) for reason in record.rejected.values())
    return "away" if all(away) else "rejected"


_on: Metrics | None = None


def metrics() -> Metrics | None:
    """The metrics of this process, if somebody wants them."""
    return _on


def measure_for(target: str) -> None:
    """Count from now on, for a file or an address."""
    global _on
    _on = Metrics(target)
