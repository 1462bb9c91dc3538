"""The clips of the store: filters, a contact sheet, pages."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote, urlencode

from markupsafe import Markup
from nicegui import ui
from starlette.requests import Request

from flows.studio.desk import Desk
from flows.studio.library import PAGE, STATES, Entry, Query
from flows.studio.pages.frame import chips, empty, frame, markup
from pipeline.clock import FPS
from pipeline.quality_rules import FLAGS

ANY = ""


def add(desk: Desk) -> None:
    """The page `/`."""

    @ui.page("/")
    async def clips(request: Request) -> None:
        library = desk.library
        choices = await asyncio.to_thread(lambda: library.choices)
        asked = dict(request.query_params)
        page = asked.get("page", "1")
        query = Query(
            **{
                name: asked.get(name, "")
                for name in ("text", "identity", "emotion", "flag", "state")
            },
            page=int(page) - 1 if page.isdecimal() else 0,
        )
        flags = {"any": "with a flag", "none": "without flags"}
        flags |= {flag: FLAGS.get(flag, flag) for flag in choices.flags}

        def change(**what: str | int) -> None:
            nonlocal query
            query = replace(query, **({"page": 0} | what))
            told = {n: v for n, v in vars(query).items() if v and n != "page"}
            if query.page:
                told["page"] = query.page + 1
            ui.navigate.history.replace("/?" + urlencode(told) if told else "/")
            sheet.refresh()

        def choose(label: str, name: str, options: dict[str, str]) -> None:
            ui.select(
                {ANY: "any"} | options,
                label=label,
                value=getattr(query, name) if getattr(query, name) in options else ANY,
                on_change=lambda event: change(**{name: event.value or ANY}),
            ).props("outlined dense options-dense").mark(name)

        @ui.refreshable
        def sheet() -> None:
            nonlocal query
            shown, count, query = library.page(query)
            _count(count, len(library.entries), query, change)
            if not library.entries:
                empty(
                    "The store holds no clip yet",
                    "emohead preprocess videos --store STORE brings some.",
                )
            elif not shown:
                empty("No clip fits", "Loosen a filter above.")
            else:
                markup(Markup('<div class="cards">{}</div>').format(_cards(shown)))

        with frame(desk, request, "/", "Clips"):
            ui.html("<h1>Clips</h1>", sanitize=False)
            with ui.element("div").classes("row").props('role=search aria-label="Filter clips"'):
                ui.input(
                    "Name contains",
                    value=query.text,
                    on_change=lambda e: change(text=e.value or ""),
                ).props("outlined dense clearable debounce=250")
                choose("Identity", "identity", {name: name for name in choices.identities})
                choose("Emotion", "emotion", {name: name for name in choices.emotions})
                choose("State", "state", {name: name for name in STATES})
                choose("Flag", "flag", flags)
            sheet()


def _count(count: int, total: int, query: Query, change: Callable[..., None]) -> None:
    pages = max(1, -(-count // PAGE))
    with ui.element("div").classes("row between"):
        ui.label(f"{count} of {total} clips").classes("soft small").mark("count")
        if pages > 1:
            with ui.element("div").classes("row"):
                back = ui.button("Back", on_click=lambda: change(page=query.page - 1))
                ui.label(f"page {query.page + 1} of {pages}").classes("soft small")
                on = ui.button("Next", on_click=lambda: change(page=query.page + 1))
                for button, usable in ((back, query.page > 0), (on, query.page + 1 < pages)):
                    button.props("outline dense no-caps").set_enabled(usable)


def _cards(entries: list[Entry]) -> Markup:
    return Markup("").join(_card(entry) for entry in entries)


def _card(entry: Entry) -> Markup:
    path = "/clip/" + quote(entry.clip_id, safe="")
    if entry.frames:
        picture = Markup('<img class="face" loading="lazy" alt="" src="/clips/{}/picture.jpg">')
        face = picture.format(quote(entry.clip_id, safe=""))
    else:
        face = Markup('<span class="none">{}</span>').format(entry.reason or "nothing usable")
    known = [entry.identity, entry.emotion or "no emotion"]
    known += [f"{entry.frames / FPS:.1f} s"] if entry.frames else []
    state = (
        Markup('<span class="small {}">{}</span>').format(
            "bad" if entry.state == "refused" else "warn", entry.state
        )
        if entry.state != "complete"
        else ""
    )
    return Markup(
        '<a class="card" href="{}" title="{}">{}<span class="about"><span class="name">{}</span>'
        '<span class="small soft">{}</span>{}{}</span></a>'
    ).format(path, entry.name, face, entry.name, " · ".join(known), state, chips(entry.flags))
