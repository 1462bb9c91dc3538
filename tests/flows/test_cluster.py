"""A store on object storage, worked on by Dask workers that are killed while they work."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from server_kit import ROOT, hindered, soon

from flows import dask_crew
from flows.config import PreprocessConfig
from flows.orchestra import call
from flows.preprocess import preprocess
from store import Cache

BUCKET = "videos"
FEATURES = ("audio/logmel", "audio/waveform", "face/mar", "text/minilm")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=BUCKET)
    yield f"s3://{BUCKET}/cache"
    server.stop()


class Killer(threading.Thread):
    """Kills a random worker process now and then, until told to stop."""

    def __init__(self, kills: int) -> None:
        super().__init__(daemon=True)
        self.kills, self.done, self.stopped = kills, 0, threading.Event()

    def run(self) -> None:
        random.seed(5)
        while self.done < self.kills and not self.stopped.wait(random.uniform(4, 9)):
            if found := dask_workers():
                os.kill(random.choice(found), signal.SIGKILL)
                self.done += 1


def dask_workers() -> list[int]:
    """Processes that a nanny of this process has spawned."""
    mine = os.getpid()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == mine and b"spawn_main" in command:
            found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_workers_killed_at_random_leave_the_store_a_calm_run_makes(
    sample_clips: Path, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base: dict[str, Any] = {"data": sample_clips, "size": 128, "features": FEATURES}
    calm = PreprocessConfig(**base, store=str(tmp_path / "calm"), workers=1)
    call(preprocess, calm)

    # A worker killed by hand is no fault of the clip: let the scheduler try again.
    monkeypatch.setitem(dask_crew.WORKER_CONFIG, "distributed.scheduler.allowed-failures", 10)
    killer = Killer(kills=4)
    killer.start()
    stormy = PreprocessConfig(**base, store=bucket, cluster="local:2", clips_per_commit=4)
    summary = call(preprocess, stormy)
    killer.stopped.set()
    assert killer.done >= 2
    assert summary["rejections"] == []

    one, two = Cache.open(calm.store).snapshot(), Cache.open(bucket).snapshot()
    assert Cache.open(bucket).validate(read_data=True).ok
    clip_ids = sorted(one.clips("clips").index)
    assert sorted(two.clips("clips").index) == clip_ids
    for clip_id in clip_ids:
        for feature in FEATURES:
            np.testing.assert_array_equal(
                one.read("clips", feature, clip_id), two.read("clips", feature, clip_id)
            )


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_scheduler_that_dies_is_named_and_costs_what_was_not_committed(
    sample_clips: Path, tmp_path: Path
) -> None:
    store = str(tmp_path / "store")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{one.getsockname()[1]}"
    dask = [sys.executable, "-m"]
    scheduler = subprocess.Popen(
        [*dask, "distributed.cli.dask_scheduler", "--host", address, "--no-dashboard", "--no-show"],
        stderr=subprocess.DEVNULL,
    )
    # milo's clips, the second commit, never end.
    worker = subprocess.Popen(
        [*dask, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"],
        env=os.environ | hindered(tmp_path / "site", "milo", 1000.0), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    command = [
        sys.executable, "-m", "flows.cli", "preprocess", str(sample_clips), "--store", store,
        "--size", "128", "--feature", "audio/logmel", "--clips-per-commit", "4",
    ]  # fmt: skip
    try:
        with (tmp_path / "run.log").open("w") as log:
            run = subprocess.Popen(
                [*command, "--cluster", address], cwd=ROOT, stdout=log, stderr=log
            )

        def committed() -> bool:
            assert run.poll() is None, (tmp_path / "run.log").read_text()
            return Path(store).is_dir() and any(
                entry.message.startswith("preprocess:") for entry in Cache.open(store).log()
            )

        soon(committed, "no commit", 120)
        scheduler.kill()
        code = run.wait(180)
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()
    told = (tmp_path / "run.log").read_text()
    assert code == 3, told
    assert f"the Dask scheduler {address} went away; what was committed before is safe" in told
    assert "Traceback" not in told
    cache = Cache.open(store)
    assert cache.validate(read_data=True).ok
    assert sorted(cache.snapshot().clips("clips").identity) == ["iris"] * 4
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(cache.snapshot().clips("clips")) == 8
