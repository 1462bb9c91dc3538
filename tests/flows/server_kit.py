"""What tests on a real Prefect server share: deployments, a worker, clips that take their time."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120

# As in test_crew.py: the one way to hold up a real worker without a way into emohead that only
# tests would use. Prefect's own processes are left alone.
HINDERED = """
import sys
if any("spawn_main" in given for given in sys.orig_argv):
    import time
    import pipeline.process as process

    whole = process.process_clip

    def process_clip(source, *given, **more):
        if {name!r} in source.path.name:
            time.sleep({seconds})
        return whole(source, *given, **more)

    process.process_clip = process_clip
"""


def hindered(folder: Path, name: str, seconds: float) -> dict[str, str]:
    """Environment in which clips with `name` in theirs take so much longer."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HINDERED.format(name=name, seconds=seconds))
    return {"PYTHONPATH": str(folder)}


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def server(folder: Path, **more: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """A server of a test's own, and the environment that leads to it; ended with the block."""
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    environment = os.environ | {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_API_URL": api}
    environment |= more
    log = folder / "server.log"
    command = [sys.executable, "-m", "prefect", "server", "start"]
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=environment, stdout=file, stderr=file,
        )  # fmt: skip

    def healthy() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{api}/health", timeout=2):
                return True
        except OSError:
            return False

    try:
        soon(healthy, "no server", START_SECONDS)
        yield process, environment
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def soon(look: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.3)
    return found


def deploy(prefect: Callable[..., str], folder: Path, which: str, **changes: Any) -> UUID:
    """One deployment of prefect.yaml (`preprocess/on-request`) with changes; its id."""
    with get_client(sync_client=True) as client:
        there = {pool.name for pool in client.read_work_pools()}
    for pool in {"cpu", "gpu"} - there:
        prefect("work-pool", "create", pool, "--type", "process")
    told = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    flow, _, name = which.partition("/")
    file = f"flows/{flow.replace('-', '_')}.py:"
    (chosen,) = [
        d for d in told["deployments"] if d["name"] == name and d["entrypoint"].startswith(file)
    ]
    told["deployments"] = [chosen | changes]
    path = folder / "prefect.yaml"
    path.write_text(yaml.safe_dump(told))
    prefect("deploy", "--all", "--prefect-file", str(path))
    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name(f"{flow}/{changes.get('name', name)}").id


def begin(deployment: UUID, config: dict[str, Any]) -> UUID:
    """A run of a deployment, to begin at once; its id."""
    with get_client(sync_client=True) as client:
        return client.create_flow_run_from_deployment(deployment, parameters={"config": config}).id


def state_of(run: UUID) -> State[Any]:
    """State of a run, as the server has it."""
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run).state
    assert state is not None
    return state


def ended(run: UUID, log: Path, seconds: float = 200) -> State[Any]:
    """Final state of a run."""

    def final() -> State[Any] | None:
        state = state_of(run)
        return state if state.is_final() else None

    try:
        return soon(final, "", seconds)
    except AssertionError as error:
        raise AssertionError(f"{state_of(run)}\n{log.read_text()[-3000:]}") from error


@contextmanager
def worker(log: Path, **environment: str) -> Iterator[psutil.Process]:
    """A process worker of pool `cpu`, and its process; ended with the block."""
    told = {
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "EMOHEAD_HOME": str(ROOT),
    }
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "cpu"]
    with log.open("a") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | told | environment, stdout=file, stderr=file
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run."""
    return [
        process
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]
