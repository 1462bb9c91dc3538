"""The studio as a server of this machine."""

import contextlib
import os
import signal
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path

from flows.errors import FlowError
from flows.studio.desk import Desk

HOST = "127.0.0.1"


def serve(
    desk: Desk, port: int = 0, *, show: bool = True, ready: Callable[[str], None] = print
) -> None:
    """Answer until interrupted.

    Args:
        desk: what is shown.
        port: 0 takes a free one.
        show: open the address in a browser.
        ready: told the address once it answers.

    Raises:
        FlowError: the port is taken.
    """
    # NiceGUI keeps nothing for us; should it ever write, then into the folder that vanishes.
    os.environ["NICEGUI_STORAGE_PATH"] = str(desk.folder / "nicegui")
    import uvicorn
    from fastapi import FastAPI
    from nicegui import ui

    from flows.studio.guard import LocalOnly
    from flows.studio.pages import browse, clip, emotions, speak
    from flows.studio.routes import add_routes

    with listening(port) as listener:
        found = int(listener.getsockname()[1])
        address = f"http://{HOST}:{found}"

        @contextlib.asynccontextmanager
        async def lifespan(_: FastAPI):
            ready(address)
            if show:
                webbrowser.open(address)
            yield

        api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
        add_routes(api, desk)
        for page in (browse, clip, emotions, speak):
            page.add(desk)
        ui.run_with(
            api, title="emohead studio", dark=None, tailwind=False, show_welcome_message=False
        )
        config = uvicorn.Config(
            LocalOnly(api, found), log_level="warning", loop="asyncio", ws_max_size=2**20
        )
        # uvicorn gives a signal back after it has ended; as an interrupt it lets us clear up
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with contextlib.suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[listener])
        finally:
            desk.close()


@contextlib.contextmanager
def listening(port: int):
    """A socket on this machine alone."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise FlowError(
                f"port {port} is taken ({error.strerror}); give another, or 0 for a free one"
            ) from error
        listener.listen(64)  # who was told the address is answered, if only after the start
        yield listener
    finally:
        listener.close()


def desk_of(out: Path | None, store: str | None, dataset: str, ref: str) -> Desk:
    """The desk of an output folder, of a store, or of both.

    Raises:
        FlowError: neither was given.
    """
    if store is None and out is None:
        raise FlowError("give --out, the folder of a job, or --store, or both")
    return Desk(store or str(Path(str(out)) / "store"), out, dataset, ref)
