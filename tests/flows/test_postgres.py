"""A shared Prefect server on PostgreSQL: the recipe of docs/data-engineers.md, on the loopback."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_kit import ROOT, free_port, server

PLACES = [f"/usr/lib/postgresql/{version}/bin" for version in range(18, 12, -1)]


def binary(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *PLACES]))


@pytest.fixture
def database() -> Iterator[str]:
    """URL of an empty database in a cluster of this test's own; ended and deleted afterwards."""
    missing = [name for name in ("initdb", "postgres", "psql") if binary(name) is None]
    if missing:
        pytest.skip(f"PostgreSQL is not installed ({', '.join(missing)}): apt install postgresql")
    # Not below pytest's own folder: that is closed to the user PostgreSQL runs as.
    folder = Path(tempfile.mkdtemp(prefix="emohead-postgres-"))
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to be run by root
    if user:
        shutil.chown(folder, user)
    port = free_port()
    data = folder / "data"
    subprocess.run(
        [str(binary("initdb")), "-D", str(data), "-U", "emohead", "--auth=trust", "-E", "UTF8"],
        check=True, capture_output=True, cwd=folder, user=user,
    )  # fmt: skip
    cluster = subprocess.Popen(
        [str(binary("postgres")), "-D", str(data), "-p", str(port), "-k", str(folder),
         "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, user=user,
    )  # fmt: skip
    ask = [str(binary("psql")), "-h", "127.0.0.1", "-p", str(port), "-U", "emohead"]
    deadline = time.monotonic() + 30
    while True:
        made = subprocess.run(
            [*ask, "-d", "postgres", "-c", "CREATE DATABASE prefect"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode == 0:
            break
        assert time.monotonic() < deadline, made.stderr
        time.sleep(0.3)
    yield f"postgresql+asyncpg://emohead@127.0.0.1:{port}/prefect"
    cluster.terminate()
    cluster.wait(30)
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_run_is_recorded_by_a_server_on_postgres(
    database: str, clips: Path, tmp_path: Path
) -> None:
    keeping = {
        "PREFECT_API_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    with server(tmp_path, **keeping) as (_, environment):
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", "preprocess", str(clips), "--store",
             str(tmp_path / "store"), "--size", "128", "--feature", "audio/logmel", "--json"],
            env=environment, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["computed"] == 4
        shown = subprocess.run(
            [sys.executable, "-m", "flows.cli", "status", str(tmp_path / "store"), "--json"],
            env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        (run,) = [r for r in json.loads(shown.stdout)["runs"] if r["name"].startswith("preprocess")]
        assert run["state"] == "Completed"
    # it is PostgreSQL that keeps it
    rows = subprocess.run(
        [str(binary("psql")), database.replace("postgresql+asyncpg", "postgresql"), "-At",
         "-c", "SELECT count(*) FROM flow_run WHERE state_type = 'COMPLETED'"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(rows.stdout) >= 1
