"""Who may ask, and which files may be given.

A server on localhost is reachable by every web page the user has open: a foreign page may send
requests to it (their `Origin` tells), or have its own name resolve to 127.0.0.1 (their `Host`
tells). Both are turned away, for pages, files and the live connection alike.
"""

from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL = ("127.0.0.1", "localhost", "[::1]")
"""Names under which this machine asks itself."""

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "connect-src 'self'; font-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""What a page of the studio may load: nothing from anywhere else."""
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class LocalOnly:
    """Lets through what this machine's own browser asks the studio itself."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        """`port`: where the studio listens."""
        self.app = app
        self.hosts = {f"{name}:{port}" for name in LOCAL}
        if port == 80:  # then browsers leave it out
            self.hosts |= set(LOCAL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403, or pass on and add the headers."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): v.decode("latin-1") for name, v in scope["headers"]
        }
        origin = headers.get("origin")
        mine = headers.get("host") in self.hosts
        if not mine or (origin is not None and origin.removeprefix("http://") not in self.hosts):
            await _refuse(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        await self.app(scope, receive, with_headers)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    text = b"The studio answers this machine's own browser only; open the address it printed."
    kind = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": kind})
    await send({"type": "http.response.body", "body": text})


def inside(folder: Path, name: str, suffixes: tuple[str, ...]) -> Path | None:
    """The file `name` of a folder, if it really lies in it and ends as it should.

    Links are followed before it is decided: one that leads outside is no file of the folder.
    """
    if not name or "\0" in name or Path(name).is_absolute():
        return None
    root, path = folder.resolve(), (folder / name).resolve()
    if root not in path.parents or path.suffix.lower() not in suffixes or not path.is_file():
        return None
    return path
