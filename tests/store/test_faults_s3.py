"""Faults on object storage (moto's server on the loopback): deaths, meetings, secrets."""

import io
import logging
import os
import pickle
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from fault_kit import HERE, OLD, SOME, differences, everything, ingest
from moto.server import ThreadedMotoServer
from store_kit import DATASET

import store

logging.getLogger("werkzeug").setLevel(logging.ERROR)

BUCKET = "emohead-faults"
KEY, SECRET = "EMOHEADKEYID1234", "emohead/secret+nobody/may/see/0123456789"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A server of its own, and credentials that would be recognised anywhere."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    given = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    patch = pytest.MonkeyPatch()
    for name, value in given.items():
        patch.setenv(name, value)
    boto3.client("s3", endpoint_url=given["AWS_ENDPOINT_URL"]).create_bucket(Bucket=BUCKET)
    yield given["AWS_ENDPOINT_URL"]
    patch.undo()
    server.stop()


@pytest.fixture
def remote(bucket: str) -> store.Cache:
    cache = store.Cache.open(f"s3://{BUCKET}/{uuid.uuid4().hex}", create=True)
    ingest(cache, OLD)
    return cache


DYING = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
import store
from fault_kit import SOME, ingest
import store.session
apply = store.session.apply_changes
def dying(*arguments):  # every chunk is written, the table too, nothing is committed
    apply(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
store.session.apply_changes = dying
ingest(store.Cache.open(sys.argv[1]), SOME, 2)
"""


@pytest.mark.slow
def test_a_committer_killed_between_chunks_and_commit_leaves_the_last_snapshot(
    remote: store.Cache, tmp_path: Path
) -> None:
    before = remote.snapshot().id
    command = [sys.executable, "-c", DYING, remote.location, str(HERE)]
    assert subprocess.run(command, timeout=120).returncode == -signal.SIGKILL
    again = store.Cache.open(remote.location)
    assert again.snapshot().id == before
    assert again.validate(read_data=True).ok
    ingest(again, SOME, 2)
    calm = store.Cache.open(tmp_path / "calm", create=True)
    ingest(calm, OLD)
    ingest(calm, SOME, 2)
    assert differences(everything(again.snapshot()), everything(calm.snapshot())) == []


@pytest.mark.slow
def test_two_committers_at_once_keep_both_their_clips(remote: store.Cache) -> None:
    def commit(name: str) -> None:
        cache = store.Cache.open(remote.location)
        for i in range(4):
            ingest(cache, {f"{name}{i}": 5 + i})

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(commit, "ab"))
    snapshot = store.Cache.open(remote.location).snapshot()
    wanted = {*OLD, *(f"{name}{i}" for name in "ab" for i in range(4))}
    assert set(snapshot.clips(DATASET).index) == wanted
    assert remote.validate(read_data=True).ok


@pytest.mark.slow
def test_credentials_are_nowhere_but_in_the_environment(
    remote: store.Cache, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "store")
    ingest(remote, SOME, 2)
    snapshot = remote.snapshot()
    client = boto3.client("s3", endpoint_url=bucket)
    prefix = remote.location.removeprefix(f"s3://{BUCKET}/")
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    said = io.BytesIO()
    for item in listed:
        said.write(client.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read())
    assert len(listed) > 20
    for thing in (remote, snapshot, remote.log(), snapshot.root.attrs.asdict()):
        said.write(repr(thing).encode())
    said.write(pickle.dumps((remote, snapshot)))
    said.write(b"".join(everything(snapshot).values()))
    with pytest.raises(store.LocationError) as refused:
        store.Cache.open(f"s3://{BUCKET}/nothing-here")
    said.write(str(refused.value).encode())
    program = "import store, sys; print(store.Cache.open(sys.argv[1]).snapshot())"
    loud = {**os.environ, "ICECHUNK_LOG": "trace", "RUST_LOG": "trace"}
    command = [sys.executable, "-c", program, remote.location]
    done = subprocess.run(command, env=loud, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said.write(done.stdout + done.stderr)
    said.write(caplog.text.encode())
    assert SECRET.encode() not in said.getvalue()
    assert KEY.encode() not in b"".join([pickle.dumps((remote, snapshot)), repr(remote).encode()])
