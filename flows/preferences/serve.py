"""The server of a study: this machine only, unless another address is asked for."""

import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from flows.errors import FlowError
from flows.preferences.app import make_app
from flows.preferences.study import Study
from flows.preferences.votes import Votes

LOCAL = ("127.0.0.1", "localhost")


class NoPort(FlowError):
    """The address cannot be listened on."""


def serve(study: Study, out: Path, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answer until Ctrl+C.

    Args:
        study: what is compared.
        out: its folder.
        host: address to listen on.
        port: 0 takes a free one.
        ready: told the page's address once it can be opened.

    Raises:
        NoPort: the address is taken, or not this machine's.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise NoPort(
            f"{host}:{port} cannot be listened on ({error}); give another --port"
        ) from error
    taken = listening.getsockname()[1]
    hosts = LOCAL if host in LOCAL else ("*",)
    config = uvicorn.Config(
        make_app(study, Votes(out), hosts), log_level="warning", access_log=False
    )
    ready(f"http://{host}:{taken}/{study.token}/")
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()
