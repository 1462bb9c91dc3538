"""The backend suite on a real S3 protocol: moto's server on the loopback."""

import logging
import os
import uuid
from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer
from store_suite import StoreSuite

import store

logging.getLogger("werkzeug").setLevel(logging.ERROR)  # one line a request otherwise

BUCKET = "emohead-tests"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server of its own, and the environment that points at it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    given = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    boto3.client("s3", endpoint_url=url).create_bucket(Bucket=BUCKET)
    yield url
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    server.stop()


@pytest.mark.slow
class TestS3(StoreSuite):
    """The same promises, over HTTP."""

    @pytest.fixture
    def cache(self, endpoint: str) -> store.Cache:
        return store.Cache.open(f"s3://{BUCKET}/{uuid.uuid4().hex}", create=True)
