"""What a real Prefect server does with runs: a release begins a training, one run at a time has a
store."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.events import emit_event
from server_kit import ROOT, deploy, soon

from flows.errors import StoreBusy
from flows.turns import limit_name, turn
from store.location import normalise

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


def test_a_release_begins_a_training(tmp_path: Path, prefect: Callable[..., str]) -> None:
    told = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    (chosen,) = [d for d in told["deployments"] if d["name"] == "from-release"]
    triggers = [trigger | {"enabled": True} for trigger in chosen["triggers"]]
    deployment = deploy(prefect, tmp_path, "train-audio-expression/from-release", triggers=triggers)
    of_it = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
    with get_client(sync_client=True) as client:
        assert client.read_flow_runs(flow_run_filter=of_it) == []
        # As `update` does when it has made a release.
        emit_event(
            "emohead.release",
            {"prefect.resource.id": "emohead.store./data/store-data"},
            payload={"release": "nightly-2026-11-21"},
        )
        (run,) = soon(lambda: client.read_flow_runs(flow_run_filter=of_it), "no training began")
    assert run.parameters["config"]["store"] == "store-data"


def test_the_server_lets_one_run_at_a_time_have_a_store(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    name = limit_name(normalise(store))

    @flow
    def second() -> str:
        try:
            with turn(store, 1.0):
                return "had it"
        except StoreBusy as error:
            return str(error)

    def slots() -> int:
        with get_client(sync_client=True) as client:
            return client.read_global_concurrency_limit_by_name(name).active_slots

    @flow
    def first() -> tuple[int, str]:
        with turn(store, 1.0):
            return slots(), second()

    # Within a run its own child has the turn; the server counts one.
    assert first() == (1, "had it")
    assert slots() == 0
    with get_client(sync_client=True) as client:
        client.increment_concurrency_slots([name], 1, "concurrency")  # a run elsewhere
    assert f"holds the server's limit {name}" in second()
