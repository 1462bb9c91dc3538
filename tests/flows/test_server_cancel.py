"""A run that is cancelled at the server leaves its workers ended and its store clean."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from server_kit import alive, begin, deploy, ended, hindered, soon, state_of, worker

from flows.status import run_costs
from flows.turns import limit_name, lock_file, turn
from store import Cache
from store.location import normalise

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

CELLS = 8 * 12


def commits(store: str) -> list[str]:
    """Messages of the commits that hold clips, newest first."""
    if not Path(store).is_dir():
        return []
    log = Cache.open(store).log()
    return [entry.message for entry in log if entry.message.startswith("preprocess:")]


def slots(store: str) -> int:
    with get_client(sync_client=True) as client:
        name = limit_name(normalise(store))
        return client.read_global_concurrency_limit_by_name(name).active_slots


@pytest.mark.timeout(600)
def test_a_cancelled_run_ends_its_workers_and_leaves_what_it_has_committed(
    sample_clips: Path, tmp_path: Path, prefect: Callable[..., str]
) -> None:
    store, log = str(tmp_path / "store"), tmp_path / "worker.log"
    deployment = deploy(prefect, tmp_path, "preprocess/on-request")
    config = {"data": str(sample_clips), "store": store, "size": 128, "clips_per_commit": 2}

    # iris's four clips are two commits; milo's never end: the run cannot win against the test.
    with worker(log, **hindered(tmp_path / "site", "milo", 1000.0)) as here:
        run = begin(deployment, config)
        soon(lambda: len(commits(store)) == 2 or state_of(run).is_final(), "no commit", 200)
        assert state_of(run).is_running(), log.read_text()[-3000:]
        before = Cache.open(store).snapshot().id
        processes = here.children(recursive=True)
        busy = [p for p in processes if "spawn_main" in " ".join(p.cmdline())]
        assert len(busy) == 2
        assert slots(store) == 1

        prefect("flow-run", "cancel", str(run))
        state = ended(run, log, 60)
        assert state.is_cancelled(), state
        soon(lambda: not alive(processes), f"{alive(processes)} still run", 30)
        assert here.status() != psutil.STATUS_ZOMBIE  # the worker itself goes on

    # It unwound, and was not merely killed: what it held it gave back itself, at once.
    assert slots(store) == 0
    assert not lock_file(normalise(store)).with_suffix(".json").exists()
    with turn(store, 0):
        pass
    # The store is where the last commit left it, and whole.
    cache = Cache.open(store)
    assert cache.snapshot().id == before
    assert cache.validate(read_data=True).ok
    assert sorted(cache.snapshot().clips("clips").identity) == ["iris"] * 4

    with worker(log):
        page = tmp_path / "quality.html"
        again = begin(deployment, config | {"report": str(page)})
        state = ended(again, log)
        assert state.is_completed(), state.message
    cells = cache.snapshot().cells("clips")
    assert int((cells != "").to_numpy().sum()) == CELLS
    assert cache.validate(read_data=True).ok
    newest, first = run_costs(cache.log())
    assert (first["clips"], newest["clips"]) == ({"valid": 4}, {"valid": 4})
    # What the server's pages show of the run.
    kept = artifacts(again)
    assert {"plan", "progress", "cost", "quality"} <= kept.keys()
    assert kept["progress"] == 100.0
    assert page.as_uri() in str(kept["quality"])
    assert "<b>8</b><span>clips</span>" in page.read_text(encoding="utf-8")


def artifacts(run: UUID) -> dict[str, Any]:
    """Key -> data of what a run keeps at the server."""
    of_it = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    with get_client(sync_client=True) as client:
        return {
            str(found.key): found.data for found in client.read_artifacts(artifact_filter=of_it)
        }
