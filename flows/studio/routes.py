"""What the pages load beside themselves. Clips are named by id and looked up, never by path."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, Response

from flows.inspection.colours import PALETTE
from flows.studio.desk import Desk
from flows.studio.guard import inside

STATIC = {"studio.css": "text/css", "studio.js": "text/javascript"}
MADE = (".mp4",)
"""Files of the output folder that may be looked at."""
_SHORT = {"cache-control": "private, max-age=600"}


def add_routes(api: FastAPI, desk: Desk) -> None:
    """Pictures, films, masks, landmarks, curves, previews and finished videos."""
    library, media = desk.library, desk.media

    def known(clip_id: str) -> str:
        if clip_id not in library.by_id:
            raise HTTPException(404, "no such clip")
        return clip_id

    def bytes_of(make: Callable[[], bytes | None], kind: str, **headers: str) -> Response:
        content = make()
        if content is None:
            raise HTTPException(404, "the clip has no such cell")
        return Response(content, media_type=kind, headers=_SHORT | headers)

    @api.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in STATIC:
            raise HTTPException(404)
        content = (files("flows.studio") / "static" / name).read_bytes()
        return Response(content, media_type=STATIC[name], headers={"cache-control": "no-cache"})

    @api.get("/clips/{clip_id}/picture.jpg")
    def picture(clip_id: str, frame: int | None = None) -> Response:
        return bytes_of(lambda: media.picture(known(clip_id), frame), "image/jpeg")

    @api.get("/clips/{clip_id}/film.mp4")
    def film(clip_id: str) -> FileResponse:
        path = media.film(known(clip_id))
        if path is None:
            raise HTTPException(404, "the clip has no pictures")
        return FileResponse(path, media_type="video/mp4", headers=_SHORT)

    @api.get("/clips/{clip_id}/landmarks.f32")
    def landmarks(clip_id: str) -> Response:
        return bytes_of(lambda: media.landmarks(known(clip_id)), "application/octet-stream")

    @api.get("/clips/{clip_id}/masks.u8")
    def masks(clip_id: str) -> Response:
        extra = {"content-encoding": "gzip"}
        return bytes_of(lambda: media.masks(known(clip_id)), "application/octet-stream", **extra)

    @api.get("/clips/{clip_id}/curves.json")
    def curves(clip_id: str) -> Response:
        return bytes_of(lambda: media.curves(known(clip_id)), "application/json")

    @api.get("/palette.json")
    def palette() -> list[tuple[int, int, int]]:
        return list(PALETTE)

    @api.get("/previews/{token}.mp4")
    def preview(token: str) -> FileResponse:
        made = desk.previews.made.get(token)
        if made is None or made.state != "done":
            raise HTTPException(404, "no such preview")
        return FileResponse(made.path, media_type="video/mp4")

    @api.get("/made/{name:path}")
    def finished(name: str) -> FileResponse:
        path = inside(desk.out, name, MADE) if desk.out is not None else None
        if path is None:
            raise HTTPException(404, "no such video in the output folder")
        return FileResponse(path, media_type="video/mp4")


def made_videos(out: Path | None) -> list[str]:
    """Videos that lie in the output folder itself, by name."""
    if out is None or not out.is_dir():
        return []
    names = [p.name for p in out.iterdir() if inside(out, p.name, MADE)]
    return sorted(name for name in names if not name.startswith("."))
