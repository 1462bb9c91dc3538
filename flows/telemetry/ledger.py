"""What a run cost: counted while it goes, kept with its commits, said at its end."""

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flows.telemetry.metrics import measure_for, metrics, result_of
from flows.telemetry.reasons import counted
from flows.telemetry.run_log import log_to, logs, tell
from pipeline.clock import FPS

if TYPE_CHECKING:
    from flows.workers import ClipRecord

MOST_REASONS = 20
"""Kinds of reasons a commit keeps."""


def as_the_environment_says() -> None:
    """Log and count for a flow that no command line began: a Prefect worker's."""
    if (target := os.environ.get("EMOHEAD_LOG_JSON")) and not logs():
        log_to(target)
    if (target := os.environ.get("EMOHEAD_METRICS")) and metrics() is None:
        measure_for(target)


@dataclass
class Ledger:
    """The account of one run of preprocessing."""

    run: str
    store: str
    dataset: str
    workers: int
    planned: int
    """Clips of the plan."""
    began: float = field(default_factory=time.monotonic)
    stages: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    cells: int = 0
    array_bytes: int = 0
    stored_bytes: int | None = 0
    """None once a clip's bytes were not counted (object storage)."""
    commits: list[float] = field(default_factory=list)
    """Seconds of each."""

    def __post_init__(self) -> None:
        """Say that it begins, where the command line or the environment asks for it."""
        as_the_environment_says()
        self._say("run began", clips=self.planned, workers=self.workers)
        if (told := metrics()) is not None:
            told.workers.set(self.workers)
            told.waiting.set(self.planned)

    def _say(self, event: str, **fields: Any) -> None:
        tell(event, run=self.run, store=self.store, dataset=self.dataset, **fields)

    def clip(self, record: "ClipRecord") -> None:
        """A clip is done, well or not."""
        self.stages.update(record.seconds)
        self.results[result_of(record)] += 1
        self.reasons.update(counted(record.rejected.values()))
        self.frames += record.frames
        self.cells += len(record.computed)
        self.array_bytes += record.array_bytes
        if record.stored_bytes is None:
            self.stored_bytes = None
        elif self.stored_bytes is not None:
            self.stored_bytes += record.stored_bytes
        for stage, seconds in record.seconds.items():
            self._say("stage", clip=record.clip_id, stage=stage, seconds=round(seconds, 6))
        grouped: dict[str, list[str]] = {}
        for feature, reason in record.rejected.items():
            grouped.setdefault(reason, []).append(feature)
        for reason, features in grouped.items():
            self._say("rejected", clip=record.clip_id, reason=reason, features=features)
        self._say(
            "clip", clip=record.clip_id, seconds=round(sum(record.seconds.values()), 6),
            frames=record.frames, cells=len(record.computed), result=result_of(record),
        )  # fmt: skip
        if (told := metrics()) is not None:
            told.clip(record)
            told.waiting.set(self.planned - sum(self.results.values()))

    def committed(self, seconds: float, snapshot: str | None) -> None:
        """A round is in the store."""
        self.commits.append(seconds)
        self._say("commit", stage="commit", seconds=round(seconds, 6), snapshot=snapshot)
        if (told := metrics()) is not None:
            told.committed(seconds)

    def cost(self) -> dict[str, Any]:
        """The account so far, JSON-able."""
        wall = time.monotonic() - self.began
        worked = sum(self.stages.values())
        hours = self.frames / FPS / 3600
        return {
            "wall_seconds": round(wall, 3),
            "workers": self.workers,
            "core_seconds": {stage: round(spent, 3) for stage, spent in self.stages.most_common()},
            "clips": dict(self.results),
            "cells": self.cells,
            "frames": self.frames,
            "frames_per_second": round(self.frames / wall, 3) if wall else 0.0,
            "rejected_cells": dict(self.reasons.most_common(MOST_REASONS)),
            "array_bytes": self.array_bytes,
            "stored_bytes": self.stored_bytes,
            "commits": len(self.commits),
            "commit_seconds": round(sum(self.commits), 3),
            "core_hours_per_video_hour": round(worked / 3600 / hours, 4) if hours else None,
            "stored_bytes_per_video_hour": round(self.stored_bytes / hours)
            if hours and self.stored_bytes is not None
            else None,
        }

    def ended(self) -> dict[str, Any]:
        """The account, once nothing more comes."""
        cost = self.cost()
        self._say("run ended", seconds=cost["wall_seconds"], cost=cost)
        if (told := metrics()) is not None:
            told.write()
        return cost


def stage_rates(cost: dict[str, Any]) -> list[tuple[str, float, float, float]]:
    """(stage, core seconds, % of all, frames a second and core) of an account, dearest first."""
    worked = sum(cost["core_seconds"].values())
    return [
        (stage, spent, 100 * spent / worked, cost["frames"] / spent)
        for stage, spent in sorted(cost["core_seconds"].items(), key=lambda item: -item[1])
        if spent
    ]


def cost_text(cost: dict[str, Any]) -> str:
    """An account in words, for the end of a run and for `emohead status`."""
    worked = sum(cost["core_seconds"].values())
    wall = cost["wall_seconds"]
    lines = [
        f"{cost['frames']} frames in {wall:.1f} s by {cost['workers']} workers: "
        f"{cost['frames_per_second']:.1f} frames/s, {worked:.1f} core seconds"
    ]
    per_hour = cost["core_hours_per_video_hour"]
    if per_hour is not None:
        lines[0] += f", {per_hour:.2f} core hours an hour of video"
    for stage, spent, share, rate in stage_rates(cost):
        if share >= 0.5:
            lines.append(
                f"  {stage:<12} {spent:9.1f} s {share:4.0f} % {rate:10.1f} frames/s a core"
            )
    stored = cost["stored_bytes"]
    size = (
        "bytes stored not counted (object storage)" if stored is None else f"{mib(stored)} stored"
    )
    many = "" if cost["commits"] == 1 else "s"
    lines.append(f"  {size}, {mib(cost['array_bytes'])} of arrays; {cost['commits']} commit{many}")
    lines += [
        f"  {count:>6} cells rejected: {why}" for why, count in cost["rejected_cells"].items()
    ]
    return "\n".join(lines)


def mib(size: int) -> str:
    """Bytes for people."""
    return f"{size / 2**20:.1f} MiB"
