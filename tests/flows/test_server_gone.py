"""A server that is killed while a run is under way: what was committed stays, the run says so."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from server_kit import ROOT, alive, hindered, server, soon

from flows.turns import turn
from store import Cache

pytestmark = pytest.mark.slow


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """A server of its own, and the environment that leads to it."""
    # By default a client tries five times more, in a minute.
    with server(tmp_path, PREFECT_CLIENT_MAX_RETRIES="1") as (process, environment):
        del environment["PREFECT_LOGGING_LEVEL"]  # what a user reads, not what the other tests do
        yield process, environment


@pytest.mark.timeout(600)
def test_a_server_killed_in_mid_run_costs_nothing_that_was_committed(
    sample_clips: Path, tmp_path: Path, started: tuple[subprocess.Popen[bytes], dict[str, str]]
) -> None:
    process, environment = started
    store = str(tmp_path / "store")
    command = [
        sys.executable, "-m", "flows.cli", "preprocess", str(sample_clips), "--store", store,
        "--size", "128", "--feature", "audio/logmel", "--clips-per-commit", "4",
    ]  # fmt: skip
    # milo's four clips, the second commit, take long enough to kill the server meanwhile.
    slowly = hindered(tmp_path / "site", "milo", 5.0)
    with (tmp_path / "run.log").open("w") as log:
        run = subprocess.Popen(
            command, cwd=ROOT, env=environment | slowly, stdout=log, stderr=subprocess.STDOUT
        )

    def committed() -> bool:
        assert run.poll() is None, (tmp_path / "run.log").read_text()
        return Path(store).is_dir() and any(
            entry.message.startswith("preprocess:") for entry in Cache.open(store).log()
        )

    soon(committed, "no commit", 120)
    here = psutil.Process(run.pid)
    workers = here.children(recursive=True)
    for each in (psutil.Process(process.pid), *psutil.Process(process.pid).children(True)):
        os.kill(each.pid, signal.SIGKILL)
    process.wait()

    code = run.wait(200)
    told = (tmp_path / "run.log").read_text()
    assert code == 3, told
    assert "went away during the run" in told
    assert "what was committed stays" in told
    assert "Traceback" not in told
    soon(lambda: not alive(workers), f"{alive(workers)} still run", 30)
    with turn(store, 0):
        pass
    assert Cache.open(store).validate(read_data=True).ok

    # The same command without a server: it computes what is missing, if anything is.
    del environment["PREFECT_API_URL"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    cells = Cache.open(store).snapshot().cells("clips")
    assert sum(fingerprint != "" for fingerprint in cells["audio/logmel"]) == 8
