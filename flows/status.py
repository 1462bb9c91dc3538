"""What happened on a store lately, and what is under way."""

import datetime
from typing import Any

from flows.orchestra import server
from flows.progress import clock_text
from flows.telemetry.ledger import cost_text
from store import Cache
from store.repository import LogEntry

RECENT = 10
"""Commits shown."""
RUNS = 5
"""Runs of preprocessing whose cost is shown."""
LOOKED_AT = 200
"""Commits that are looked through for them: a run makes one every 500 clips."""


def status(location: str) -> dict[str, Any]:
    """Recent commits, releases, cells that failed, and the server's runs, JSON-able.

    Raises:
        StoreError: there is no such store.
    """
    cache = Cache.open(location)
    snapshot = cache.snapshot()
    now = datetime.datetime.now(datetime.UTC)
    entries = cache.log(limit=LOOKED_AT)
    commits = [
        {
            "snapshot": entry.id,
            "written": entry.written_at.isoformat(),
            "seconds_ago": (now - entry.written_at).total_seconds(),
            "message": entry.message,
            "frames_per_worker_second": _speed(entry.metadata.get("rates")),
        }
        for entry in entries[:RECENT]
    ]
    datasets = {}
    for name in snapshot.datasets():
        clips = snapshot.clips(name)
        whole = int((clips.rejection != "").sum()) if "rejection" in clips else 0
        datasets[name] = {
            "clips": len(clips),
            "hours": float(clips.frames.sum()) / 25 / 3600,
            "clips_rejected_whole": whole,
        }
    return {
        "store": cache.location,
        "snapshot": snapshot.id,
        "releases": cache.tags(),
        "datasets": datasets,
        "commits": commits,
        "costs": run_costs(entries)[:RUNS],
        "runs": server_runs() if server() else None,
    }


def run_costs(entries: list[LogEntry]) -> list[dict[str, Any]]:
    """What each run of preprocessing cost, newest first: its newest commit tells of all of it."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        cost, run = entry.metadata.get("cost"), str(entry.metadata.get("run_id", ""))
        if isinstance(cost, dict) and run and run not in found:
            found[run] = {
                "run": run,
                "ended": entry.written_at.isoformat(),
                "dataset": entry.metadata.get("dataset"),
                "profile": entry.metadata.get("profile"),
                "snapshot": entry.id,
                **cost,
                "commits": cost["commits"] + 1,  # an account is written before its commit is made
            }
    return list(found.values())


def _speed(rates: Any) -> float | None:
    """Frames a second of one worker, all stages together."""
    total = sum(rates.values()) if isinstance(rates, dict) else 0.0
    return 1 / total if total else None


def server_runs() -> list[dict[str, Any]]:
    """The newest flow runs of the user's Prefect server."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort

    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(limit=RECENT, sort=FlowRunSort.START_TIME_DESC)
    return [
        {
            "name": run.name,
            "state": run.state_name,
            "started": run.start_time and str(run.start_time),
        }
        for run in runs
    ]


def results(cost: dict[str, Any]) -> str:
    """Clips by what became of them."""
    return ", ".join(f"{n} clips {result}" for result, n in cost["clips"].items()) or "no clips"


def text(found: dict[str, Any]) -> str:
    """The same for a person."""
    lines = [f"{found['store']}  snapshot {found['snapshot']}"]
    for name, counts in found["datasets"].items():
        length = clock_text(3600 * counts["hours"])
        lines.append(f"  {name}: {counts['clips']} clips, {length} of video")
    lines += [f"  release {name}: {snapshot}" for name, snapshot in found["releases"].items()]
    lines.append("latest commits:")
    for entry in found["commits"]:
        speed = entry["frames_per_worker_second"]
        rate = f"  ({speed:.0f} frames/s a worker)" if speed else ""
        lines.append(f"  {clock_text(entry['seconds_ago']):>9} ago  {entry['message']}{rate}")
    for cost in found["costs"]:
        lines.append(f"run of {cost['ended'][:16]} ({cost['profile']}), {results(cost)}:")
        lines += [f"  {line}" for line in cost_text(cost).splitlines()]
    if found["runs"] is None:
        lines.append("no Prefect server is set up: no run history")
    for run in found["runs"] or ():
        lines.append(f"  {run['state']:<10} {run['name']}  {run['started'] or ''}")
    return "\n".join(lines)
