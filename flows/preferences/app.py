"""The page itself: FastAPI, plain HTML, no script from elsewhere.

Every address begins with the study's token. Files are served by codes that are looked up, never by
paths: there is nothing to climb out of.
"""

import hmac
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.middleware.trustedhost import TrustedHostMiddleware

from flows.preferences.study import Shown, Study
from flows.preferences.votes import ASPECTS, HIGHEST, BadVote, Vote, Votes

HERE = Path(__file__).parent
STATIC = {"style.css": "text/css", "page.js": "text/javascript"}
LARGEST = 10_000
"""Bytes of a form."""
_RATER = re.compile(r"[\w .@-]{1,40}")

QUESTIONS = {
    "fidelity": ("Fidelity", "How real does the video look?"),
    "coherence": ("Coherence", "How well does the face fit the emotion asked for?"),
    "empathy": ("Empathy", "How much does it make you feel with the person?"),
}
"""The paper's three aspects (section IV-B), as questions."""

_POLICY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "media-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the token is in the address
    "X-Content-Type-Options": "nosniff",
}


def make_app(study: Study, votes: Votes, hosts: tuple[str, ...]) -> FastAPI:
    """The application of one study.

    Args:
        study: what is compared.
        votes: where votes go.
        hosts: names this server answers to; others are refused (a foreign page that resolves its
            own name to this machine cannot read it).
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    pages = Environment(
        loader=FileSystemLoader(HERE), autoescape=select_autoescape(default=True), auto_reload=False
    )
    root = f"/{study.token}"

    @app.middleware("http")
    async def headers(request: Request, call_next: Any) -> Response:
        response = await call_next(request)
        response.headers.update(_POLICY)
        if not response.headers.get("content-type", "").startswith("video/"):
            response.headers["Cache-Control"] = "no-store"
        return response

    def known(token: str) -> None:
        if not hmac.compare_digest(token.encode(), study.token.encode()):
            raise HTTPException(404)

    def rater_of(number: int) -> str:
        raters = votes.raters()
        if not 0 <= number < len(raters):
            raise HTTPException(404)
        return raters[number]

    def shown(number: int, place: int) -> tuple[str, Shown]:
        rater, order = rater_of(number), study.order(number)
        if not 0 <= place < len(order):
            raise HTTPException(404)
        return rater, order[place]

    def page(name: str, status: int = 200, **told: Any) -> HTMLResponse:
        told |= {"root": root, "count": len(study.pairs)}
        return HTMLResponse(pages.get_template(name).render(**told), status)

    def next_place(number: int) -> int | None:
        rater, done = rater_of(number), votes.latest()
        for place, item in enumerate(study.order(number)):
            if (rater, item.pair.name) not in done:
                return place
        return None

    @app.get("/{token}/")
    def welcome(token: str) -> HTMLResponse:
        known(token)
        return page("welcome.html.j2", questions=QUESTIONS, wrong="")

    @app.post("/{token}/enrol")
    async def enrol(request: Request, token: str) -> Response:
        known(token)
        rater = " ".join((await _fields(request)).get("name", "").split())
        if not _RATER.fullmatch(rater):
            wrong = "A name has 1 to 40 letters, digits, blanks or . @ - _"
            return page("welcome.html.j2", 422, questions=QUESTIONS, wrong=wrong)
        return RedirectResponse(f"{root}/{votes.enrol(rater)}", 303)

    @app.get("/{token}/file/{name}")
    def static(token: str, name: str) -> Response:
        known(token)
        if name not in STATIC:
            raise HTTPException(404)
        return FileResponse(HERE / "static" / name, media_type=STATIC[name])

    @app.get("/{token}/{number}")
    def resume(token: str, number: int) -> Response:
        known(token)
        place = next_place(number)
        return RedirectResponse(f"{root}/{number}/{'end' if place is None else place}", 303)

    @app.get("/{token}/{number}/end")
    def end(token: str, number: int) -> Response:
        known(token)
        rater = rater_of(number)
        done = sum(1 for who, _ in votes.latest() if who == rater)
        return page("end.html.j2", rater=rater, number=number, done=done)

    @app.get("/{token}/{number}/{place}")
    def show(token: str, number: int, place: int) -> Response:
        known(token)
        return pair_page(number, place, "")

    def pair_page(number: int, place: int, wrong: str) -> HTMLResponse:
        rater, item = shown(number, place)
        latest = votes.latest()
        before = latest.get((rater, item.pair.name))
        order = study.order(number)
        return page(
            "pair.html.j2",
            422 if wrong else 200,
            number=number,
            place=place,
            rater=rater,
            done=[(rater, other.pair.name) in latest for other in order],
            emotion=item.pair.emotion,
            questions=QUESTIONS,
            highest=HIGHEST,
            codes=[study.code(number, place, side) for side in (0, 1)],
            given=_by_side(before, item) if before else ({}, {}),
            wrong=wrong,
        )

    @app.post("/{token}/{number}/{place}")
    async def vote(request: Request, token: str, number: int, place: int) -> Response:
        known(token)
        rater, item = shown(number, place)
        form = await _fields(request)
        left, right = ({a: _mark(form.get(f"{side}_{a}")) for a in ASPECTS} for side in ("l", "r"))
        a, b = (left, right) if item.a_left else (right, left)
        try:
            votes.cast(Vote(rater, item.pair.name, a, b, item.a_left, time.time()))
        except BadVote:
            return pair_page(number, place, "Please give both videos all three marks.")
        following = next_place(number)
        return RedirectResponse(f"{root}/{number}/{'end' if following is None else following}", 303)

    @app.get("/{token}/{number}/{place}/video/{code}")
    def video(token: str, number: int, place: int, code: str) -> Response:
        known(token)
        _, item = shown(number, place)
        for side, path in enumerate(item.sides):
            if hmac.compare_digest(code.encode(), study.code(number, place, side).encode()):
                kind = "video/webm" if path.endswith(".webm") else "video/mp4"
                return FileResponse(path, media_type=kind, headers=_anonymous(code))
        raise HTTPException(404)

    return app


def _anonymous(code: str) -> dict[str, str]:
    """No file name, no date and no size-and-date tag that two raters could compare."""
    return {"etag": f'"{code}"', "last-modified": "Thu, 01 Jan 1970 00:00:00 GMT"}


def _by_side(vote: Vote, item: Shown) -> tuple[dict[str, int], dict[str, int]]:
    return (vote.a, vote.b) if item.a_left else (vote.b, vote.a)


async def _fields(request: Request) -> dict[str, str]:
    """A plain form's fields; of a name given twice the last. (Starlette's own reader wants a
    package for uploads, which there are none of.)

    Raises:
        HTTPException: more than any form of this page holds.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise HTTPException(413)
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _mark(text: Any) -> Any:
    """A number where there is one; what is none is refused by `Vote`."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else text
