"""Jobs that need a resource go to the workers that have it. No GPU is needed to tell: Dask counts
names."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from distributed import Client, LocalCluster, SpecCluster, Worker, get_worker
from distributed.scheduler import Scheduler

from flows import dask_crew
from flows.dask_crew import DaskCrew
from flows.errors import ClusterGone
from flows.workers import Job


@pytest.fixture
def client() -> Iterator[Client]:
    """One worker with a GPU, by its own account, and two without."""
    plain: dict[str, Any] = {"cls": Worker, "options": {"nthreads": 1}}
    gpu: dict[str, Any] = {"cls": Worker, "options": {"nthreads": 1, "resources": {"GPU": 1}}}
    with (
        SpecCluster(
            workers={"a": plain, "b": gpu, "c": plain},
            scheduler={"cls": Scheduler, "options": {"dashboard": False, "port": 0}},
        ) as cluster,
        Client(cluster) as connected,
    ):
        connected.wait_for_workers(3, timeout=120)
        yield connected


def where(_: Job) -> str:
    return str(get_worker().name)


def test_only_the_worker_with_the_gpu_gets_jobs(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_crew, "compute", where)
    job = cast(Any, None)
    assert dask_crew._able(client, "tcp://x", {}) == 3
    assert dask_crew._able(client, "tcp://x", {"GPU": 1}) == 1
    assert dask_crew._able(client, "tcp://x", {"GPU": 0.5}) == 2
    crew = DaskCrew(client, 1, {"GPU": 1})
    assert [crew.work(job) for _ in range(6)] == ["b"] * 6


def test_a_cluster_without_the_resource_is_refused_at_once(client: Client) -> None:
    with pytest.raises(ClusterGone, match=r"none of the 3 workers of tcp://x has TPU=1; start one"):
        dask_crew._able(client, "tcp://x", {"TPU": 1})


def test_workers_of_this_machine_have_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def local(**given: Any) -> LocalCluster:
        return LocalCluster(processes=False, **given)

    monkeypatch.setattr(dask_crew, "LocalCluster", local)
    with dask_crew.dask_crew("local:2", {"GPU": 1}) as crew:
        assert crew.workers == 2
