"""The Prefect server a laptop needs: none of its own set up, one is started for the time of the
job.

Who has a server (PREFECT_API_URL or a profile) uses it. Without one Prefect starts a temporary
server when the first flow begins, 13-20 s on two cores; `EarlyServer` does that in the background
while other work runs.
"""

import os
from threading import Thread

from flows.errors import FlowError

STARTUP_SECONDS = 120
"""How long a temporary server may take.

Prefect's own limit of 20 s is too short on a busy laptop.
"""

DEFAULTS = {
    # The command prints one clean line for an expected error; Prefect would log its traceback.
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(STARTUP_SECONDS),
    "DO_NOT_TRACK": "1",
}


def quiet_defaults() -> None:
    """Set what the user has not set. Call before Prefect is imported.

    It reads its settings once.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


class EarlyServer:
    """A temporary server that starts while something else runs."""

    def __init__(self) -> None:
        """Begin at once, unless the user has a server."""
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._start, name="prefect-server", daemon=True)
        self._thread.start()

    def _start(self) -> None:
        from prefect.server.api.server import SubprocessASGIServer
        from prefect.settings import PREFECT_API_URL

        if PREFECT_API_URL.value():
            return
        try:
            # The instance without a port is the one Prefect's clients take when a flow begins.
            SubprocessASGIServer().start(STARTUP_SECONDS)
        except RuntimeError as error:
            self._failure = error

    def ready(self) -> None:
        """Wait until flows may begin.

        Raises:
            FlowError: the server did not start; the cure is to start one by hand.
        """
        self._thread.join()
        if self._failure is not None:
            raise FlowError(
                f"no temporary Prefect server within {STARTUP_SECONDS} s; run "
                "`prefect server start` in another terminal and set PREFECT_API_URL=http://127.0.0.1:4200/api"
            ) from self._failure
