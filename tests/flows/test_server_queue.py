"""Deployments beside each other: on one store one works at a time, a full queue loses no run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Pending, Running
from server_kit import begin, deploy, ended, hindered, soon, state_of, worker

from flows.status import run_costs
from flows.turns import limit_name
from store import Cache
from store.location import normalise

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@pytest.mark.timeout(600)
def test_of_two_updates_at_once_one_waits_and_an_impatient_third_is_refused(
    clips: Path, tmp_path: Path, prefect: Callable[..., str]
) -> None:
    store, log = str(tmp_path / "store"), tmp_path / "worker.log"
    nightly = deploy(prefect, tmp_path, "update/nightly")
    hourly = deploy(prefect, tmp_path, "update/nightly", name="hourly")
    on_request = deploy(prefect, tmp_path, "preprocess/on-request")
    config = {"data": str(clips), "store": store, "size": 128}
    name = limit_name(normalise(store))

    def held() -> bool:
        with get_client(sync_client=True) as client:
            found = client.read_global_concurrency_limits(100, 0)
        return any(limit.name == name and limit.active_slots for limit in found)

    # Each of iris's four clips takes 15 s more: long enough for the others to come meanwhile.
    with worker(log, **hindered(tmp_path / "site", "iris", 15.0)):
        first = begin(nightly, config | {"release": "r"})
        soon(held, f"nobody has the store\n{log.read_text()[-3000:]}", 120)
        second = begin(hourly, config | {"release": "r"})
        third = begin(on_request, config | {"wait_seconds": 0.5})
        refused = ended(third, log)
        assert refused.is_failed()
        assert f"another run holds the server's limit {name}" in str(refused.message)
        assert state_of(first).is_running()
        assert not state_of(second).is_final()
        assert ended(first, log).is_completed()
        assert ended(second, log).is_completed()

    with get_client(sync_client=True) as client:
        one, two = client.read_flow_run(first), client.read_flow_run(second)
    assert one.end_time is not None
    assert two.start_time is not None
    assert two.end_time is not None
    # They met, and the second had to wait.
    assert two.start_time < one.end_time < two.end_time
    # The second found nothing left: one account, one release.
    cache = Cache.open(store)
    (cost,) = run_costs(cache.log())
    assert cost["clips"] == {"valid": 4}
    assert list(cache.tags()) == ["r"]
    assert cache.validate(read_data=True).ok
    assert not held()


def propose(run: UUID, state: State[Any]) -> str:
    """Ask the server for a state, as a worker does; the name of the one it gives."""
    with get_client(sync_client=True) as client:
        given = client.set_flow_run_state(run, state)
    assert given.state is not None
    return str(given.state.name)


def test_a_deployment_that_must_not_meet_itself_drops_the_second_run(
    tmp_path: Path, prefect: Callable[..., str]
) -> None:
    nightly = deploy(prefect, tmp_path, "update/nightly")
    config = {"data": "videos", "store": str(tmp_path / "store")}
    first, second = begin(nightly, config), begin(nightly, config)
    assert propose(first, Pending()) == "Pending"
    assert propose(second, Pending()) == "Cancelled"
    assert state_of(second).is_cancelled()
    propose(first, Running())
    propose(first, Completed())
    third = begin(nightly, config)
    assert propose(third, Pending()) == "Pending"
    propose(third, Cancelled())  # other tests use this deployment, too


def test_a_full_queue_keeps_its_runs_until_there_is_room(
    tmp_path: Path, prefect: Callable[..., str]
) -> None:
    on_request = deploy(prefect, tmp_path, "preprocess/on-request")
    config = {"data": "videos", "store": str(tmp_path / "store")}
    first, *others = [begin(on_request, config) for _ in range(6)]
    assert propose(first, Pending()) == "Pending"
    propose(first, Running())
    assert {propose(run, Pending()) for run in others} == {"AwaitingConcurrencySlot"}
    # They wait: scheduled again for later, none refused, none lost.
    assert {str(state_of(run).type.value) for run in others} == {"SCHEDULED"}
    for run in others:
        assert propose(run, Pending()) == "AwaitingConcurrencySlot"
        propose(first, Completed())
        assert propose(run, Pending()) == "Pending"
        propose(run, Running())
        first = run
    propose(first, Completed())
