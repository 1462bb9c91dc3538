"""How fast the runs went that filled a dataset, stage by stage, and what they rejected."""

from dataclasses import dataclass
from typing import Any

from flows.status import LOOKED_AT, RUNS, results, run_costs
from flows.telemetry.ledger import mib, stage_rates
from store import Cache

LEAST_SHARE = 0.5
"""Per cent of a run's core seconds below which a stage is not listed."""


@dataclass(frozen=True)
class Run:
    """A run of preprocessing as the page shows it."""

    ended: str
    snapshot: str
    clips: str
    """How many came to which end."""
    facts: list[tuple[str, str]]
    stages: list[tuple[str, str, str, str]]
    """Stage, core seconds, share, frames a second and core."""
    rejected: list[tuple[str, int]]
    """Kind of reason, cells."""


def runs_of(cache: Cache, ref: str, dataset: str) -> list[Run]:
    """The newest runs that computed cells of a dataset, newest first."""
    costs = run_costs(cache.log(ref, LOOKED_AT))
    mine = [cost for cost in costs if cost["dataset"] in (dataset, None) and cost["clips"]]
    return [_run(cost) for cost in mine[:RUNS]]


def _run(cost: dict[str, Any]) -> Run:
    worked = sum(cost["core_seconds"].values())
    per_hour = cost["core_hours_per_video_hour"]
    facts = [
        (f"{cost['frames_per_second']:.1f}", f"frames/s by {cost['workers']} workers"),
        (f"{cost['frames']}", f"frames in {cost['wall_seconds']:.1f} s"),
        (f"{worked:.1f} s", "of core time"),
        ("?" if per_hour is None else f"{per_hour:.2f}", "core hours an hour of video"),
        (
            "not counted" if cost["stored_bytes"] is None else mib(cost["stored_bytes"]),
            "stored" if cost["stored_bytes"] is not None else "bytes on object storage",
        ),
        (f"{sum(cost['rejected_cells'].values())}", "cells rejected"),
    ]
    stages = [
        (stage, f"{spent:.1f} s", f"{share:.0f} %", f"{rate:.1f}")
        for stage, spent, share, rate in stage_rates(cost)
        if share >= LEAST_SHARE
    ]
    return Run(
        ended=cost["ended"][:16].replace("T", " "),
        snapshot=cost["snapshot"],
        clips=results(cost),
        facts=facts,
        stages=stages,
        rejected=list(cost["rejected_cells"].items()),
    )
