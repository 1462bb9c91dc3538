"""The deployments of prefect.yaml on a real server, and a real worker that finishes a run."""

import time
from collections.abc import Callable
from pathlib import Path

import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.workers.process import ProcessWorker

from store import Cache

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 200


def test_all_deployments_are_made_and_a_worker_finishes_an_update(
    clips: Path, prefect: Callable[..., str]
) -> None:
    prefect("work-pool", "create", "cpu", "--type", "process")
    template = ProcessWorker.get_default_base_job_template()  # the same, without a further process
    with get_client(sync_client=True) as client:
        client.create_work_pool(
            WorkPoolCreate(name="gpu", type="process", base_job_template=template)
        )
    prefect("deploy", "--all")
    named = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    with get_client(sync_client=True) as client:
        made = {deployment.name for deployment in client.read_deployments()}
        assert made == {deployment["name"] for deployment in named}
        nightly = client.read_deployment_by_name("update/nightly")
        # A form refuses wrong parameters before anything runs.
        assert nightly.enforce_parameter_schema
        for path in clips.glob("*_s5.*"):
            path.unlink()
        # What hyperplanes need, by one worker: every process and every model takes its seconds.
        few = {"features": ["expression/semantic", "face/mar"], "workers": 1}
        store = str(clips.parent / "store")
        config = {
            "data": str(clips),
            "store": store,
            "size": 128,
            "release": "made-by-worker",
        } | few
        run = client.create_flow_run_from_deployment(nightly.id, parameters={"config": config})
        prefect("worker", "start", "--pool", "cpu", "--run-once", "--limit", "1")
        deadline = time.monotonic() + RUN_SECONDS
        while not (state := client.read_flow_run(run.id).state) or not state.is_final():
            assert time.monotonic() < deadline, state
            time.sleep(1)
        assert state.is_completed(), state.message
    cache = Cache.open(store)
    assert list(cache.tags()) == ["made-by-worker"]
    cells = cache.snapshot("made-by-worker").cells("clips")
    assert sum(fingerprint != "" for fingerprint in cells["expression/semantic"]) == 2
