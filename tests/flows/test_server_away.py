"""A Prefect server that goes away during a run is named, and so is the way on."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from flows.errors import ServerAway
from flows.orchestra import run
from pipeline.errors import InputError


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    here = ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=here.serve_forever, daemon=True).start()
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{here.server_port}/api")
    yield here
    here.shutdown()
    here.server_close()


def test_a_server_that_goes_away_is_said_with_the_cure(server: ThreadingHTTPServer) -> None:
    def flow() -> None:
        server.shutdown()
        server.server_close()
        httpx.get(f"http://127.0.0.1:{server.server_port}/api/flow_runs")

    with pytest.raises(ServerAway, match=r"went away during the run .* committed stays. Start it"):
        run(flow)


@pytest.mark.parametrize("error", [InputError("no video"), httpx.ReadTimeout("slow")])
def test_other_errors_stay_what_they_are(server: ThreadingHTTPServer, error: Exception) -> None:
    def flow() -> None:
        raise error

    with pytest.raises(type(error), match=str(error)):
        run(flow)
