"""One clip: its film with landmarks and masks, what is said and measured, what was rejected."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np
from markupsafe import Markup
from nicegui import ui
from starlette.requests import Request

from flows.inspection.clip import ClipFacts
from flows.studio.desk import Desk
from flows.studio.pages.frame import empty, frame, markup
from pipeline.clock import FPS
from pipeline.quality_rules import FLAGS

STRIP = 10
"""Pictures of the strip."""


def add(desk: Desk) -> None:
    """The page `/clip/ID`."""

    @ui.page("/clip/{clip_id}")
    async def clip(request: Request, clip_id: str) -> None:
        library = desk.library
        known = await asyncio.to_thread(lambda: library.by_id)
        if clip_id not in known:
            with frame(desk, request, "", "No such clip"):
                empty("No such clip", f"{clip_id[:80]} is not in this snapshot.")
                markup('<p><a href="/">All clips</a></p>')
            return
        facts = await asyncio.to_thread(library.facts, clip_id)
        order = [entry.clip_id for entry in library.entries]
        at = order.index(clip_id)
        with frame(desk, request, "", facts.name):
            markup(_title(facts, order[at - 1 : at], order[at + 1 : at + 2]))
            if not facts.frames:
                empty("Nothing of this clip was kept", *dict.fromkeys(facts.rejected.values()))
                _about(facts)
                return
            seen = await asyncio.to_thread(library.has, clip_id, library.names.frames)
            with ui.element("div").classes("two"):
                if seen:
                    markup(_player(facts))
                else:
                    empty("No pictures", "video/rgb of this clip is absent.")
                _about(facts)
            if seen:
                markup(
                    '<section class="sheet"><h2>Over time</h2>'
                    '<canvas class="plot" id="plot" role="img" '
                    'aria-label="Words, loudness, mouth, emotion margins over the clip"></canvas>'
                    "</section>"
                )
                base = json.dumps(f"/clips/{quote(clip_id, safe='')}")
                ui.run_javascript(
                    "const box = document.querySelector('#player');"
                    "document.querySelector('#plot').dataset.is = 'plot';"
                    "const find = box.querySelector.bind(box);"
                    "box.querySelector = (s) => s === '[data-is=plot]' ? "
                    "document.querySelector('#plot') : find(s);"
                    f"studio.player(box, {base}, {facts.frames})"
                )


def _title(facts: ClipFacts, before: list[str], after: list[str]) -> Markup:
    level = f" {facts.intensity}" if facts.intensity >= 0 else ""
    links = Markup("").join(
        Markup('<a href="/clip/{}">{}</a> ').format(quote(clip, safe=""), word)
        for clips, word in ((before, "Previous clip"), (after, "Next clip"))
        for clip in clips
    )
    return Markup(
        '<div class="row between"><div><h1>{}</h1><p class="soft">{}, {}{}, {:.2f} s</p></div>'
        '<div class="row small">{}</div></div>'
    ).format(
        facts.name,
        facts.identity,
        facts.emotion or "no emotion known",
        level,
        facts.frames / FPS,
        links,
    )


def _player(facts: ClipFacts) -> Markup:
    base = f"/clips/{quote(facts.clip_id, safe='')}"
    places = np.unique(np.linspace(0, facts.frames - 1, STRIP).astype(int))
    strip = Markup("").join(
        Markup(
            '<button type="button" data-frame-at="{}" aria-label="Frame {}">'
            '<img loading="lazy" alt="" src="{}/picture.jpg?frame={}"></button>'
        ).format(place, place, base, place)
        for place in places
    )
    return Markup(
        '<section class="sheet" id="player" aria-label="Film"><div class="stage">'
        '<video data-is="film" src="{base}/film.mp4" preload="auto" playsinline></video>'
        '<canvas data-is="over"></canvas></div>'
        '<div class="bar"><button type="button" class="plain" data-is="play">Play</button>'
        '<input type="range" data-is="scrub" min="0" max="{last}" value="0" aria-label="Frame">'
        '<span class="soft" data-is="clock"></span></div>'
        '<div class="bar"><label><input type="checkbox" data-is="marks" checked> Landmarks</label>'
        '<label><input type="checkbox" data-is="masks"> Masks</label>'
        '<input type="range" data-is="strength" min="10" max="100" value="55" '
        'aria-label="Strength of the masks" style="max-width:110px">'
        '<span class="soft"><kbd>space</kbd> play, <kbd>←</kbd> <kbd>→</kbd> a frame, '
        "<kbd>L</kbd> <kbd>M</kbd> overlays</span></div>"
        '<div class="strip">{strip}</div></section>'
    ).format(base=base, last=facts.frames - 1, strip=strip)


def _about(facts: ClipFacts) -> None:
    with ui.element("section").classes("sheet").props("aria-label=Facts"):
        said = " ".join(word for word, _, _ in facts.words)
        if said:
            markup(Markup("<h2>Said</h2><p>{}</p>").format(said))
        markup("<h2>Flags</h2>")
        flags = {FLAGS[flag]: why for flag, why in facts.flags.items()}
        markup(_pairs(flags, "warn") if flags else '<p class="soft">None.</p>')
        if facts.rejected:
            markup("<h2>Rejected</h2>")
            markup(_pairs(facts.rejected, "bad"))
        quality = facts.facts.get("quality", {})
        if quality:
            markup("<h2>Measured</h2>")
            markup(_pairs({name.replace("_", " "): value for name, value in quality.items()}))
        markup(
            Markup('<p class="small soft">Id <code>{}</code>, split {}, sentence {}</p>').format(
                facts.clip_id, facts.split or "none", facts.sentence or "none"
            )
        )


def _pairs(rows: Mapping[str, Any], kind: str = "") -> Markup:
    body = Markup("").join(
        Markup('<dt class="{}">{}</dt><dd>{}</dd>').format(kind, name, value)
        for name, value in rows.items()
    )
    return Markup('<dl class="facts">{}</dl>').format(body)
