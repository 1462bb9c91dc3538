"""Sliders along the normals of the emotion hyperplanes; landmarks and head follow."""

import asyncio
import base64
import json
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from markupsafe import Markup
from nicegui import ui
from starlette.requests import Request

from flows.expected import expected_errors
from flows.studio.desk import Desk
from flows.studio.faces import LOOPS, Face
from flows.studio.pages.frame import empty, frame, markup, trouble

FURTHEST = 6.0
"""Whitened units to either side."""


def add(desk: Desk) -> None:
    """The page `/emotions`."""

    @ui.page("/emotions")
    async def emotions(request: Request) -> None:
        choices = await asyncio.to_thread(lambda: desk.library.choices)
        asked = request.query_params.get("identity", "")
        heads = desk.heads.identities()
        first = next((who for who in choices.identities if who in heads), "")
        identity = asked if asked in choices.identities else first
        identity = identity or next(iter(choices.identities), "")
        with frame(desk, request, "/emotions", "Emotions"):
            with ui.element("div").classes("row between"):
                markup("<h1>Emotions</h1>")
                if choices.identities:
                    ui.select(
                        list(choices.identities),
                        label="Identity",
                        value=identity,
                        on_change=lambda e: ui.navigate.to(f"/emotions?identity={quote(e.value)}"),
                    ).props("outlined dense options-dense")
            if not identity:
                empty("No identity yet", "emohead preprocess videos --store STORE brings clips.")
                return
            try:
                face = await asyncio.to_thread(desk.face, identity)
            except Exception as error:
                trouble(error)
                return
            _sliders(desk, face)


def _sliders(desk: Desk, face: Face) -> None:
    steps = dict.fromkeys(sorted(face.planes.planes), 0.0)
    values: dict[str, ui.label] = {}
    meters: dict[str, ui.html] = {}
    waiting = asyncio.Event()
    has_head = face.identity in desk.heads.identities()

    def follow() -> None:
        alpha = face.expression(steps)
        points = [round(float(v), 3) for v in face.points(alpha).reshape(-1)]
        ui.run_javascript(f"studio.moved('face', {json.dumps(points)})")
        for tag, margin in face.margins(alpha).items():
            meters[tag].set_content(_meter(tag, margin))
            values[tag].set_text(f"{steps[tag]:+.1f}")
        waiting.set()

    def step(tag: str, value: float) -> None:
        steps[tag] = value
        follow()

    with ui.element("div").classes("three"):
        with ui.element("section").classes("sheet").props('aria-label="Steps along the normals"'):
            markup("<h2>Step along each normal</h2>")
            sliders: dict[str, ui.element] = {}
            for tag in steps:
                with ui.element("div").classes("slide"):
                    ui.label(tag)
                    sliders[tag] = _slider(f"Step towards {tag}", partial(step, tag))
                    values[tag] = ui.label("+0.0").classes("value")

            def recorded(tag: str) -> None:
                steps.update(dict.fromkeys(steps, 0.0))
                if tag:
                    missing = face.planes.plane(tag).margin - face.margins(face.at_rest)[tag]
                    steps[tag] = round(min(max(missing, -FURTHEST), FURTHEST), 1)
                for name, slider in sliders.items():
                    place = f"document.getElementById('{slider.html_id}')"
                    ui.run_javascript(f"{place}.value = {steps[name]}")
                follow()

            with ui.element("div").classes("row"):
                ui.label("As recorded:").classes("small soft")
                for tag in steps:
                    button = ui.button(tag, on_click=partial(recorded, tag))
                    button.props("outline dense no-caps")
                ui.button("Rest", on_click=partial(recorded, "")).props("flat dense no-caps")
            markup("<h2>Margin at each plane</h2>")
            for tag in steps:
                meters[tag] = markup("")
            markup(
                Markup(
                    '<p class="small soft">Whitened units. Above 0 the face is on the emotion\'s '
                    "side. Landmarks follow by a linear map learnt on {} frames of {}; it accounts "
                    "for {:.0%} of their movement.</p>"
                ).format(face.frames, face.identity, face.explained)
            )
        with ui.element("section").classes("sheet"):
            markup("<h2>Landmarks</h2>")
            markup(
                '<canvas class="drawn" id="face" role="img" aria-label="Face landmarks"></canvas>'
            )
        with ui.element("section").classes("sheet"):
            markup("<h2>Rendered head</h2>")
            picture = ui.html(_picture(""), sanitize=False)
            note = ui.label("").classes("small soft")
            picture.set_visibility(has_head)
            if not has_head:
                where = desk.out or "OUT"
                cure = f"emohead train head --identity {face.identity} --out {where}"
                empty("No head is trained", cure)
    loops = json.dumps(LOOPS)
    ui.run_javascript(f"studio.face(document.querySelector('#face'), 'face', {loops})")
    if has_head:
        client = ui.context.client

        async def render() -> None:
            """The newest expression only: what sliders passed meanwhile is left out."""
            if not waiting.is_set():
                return
            waiting.clear()
            alpha = face.expression(steps)
            try:
                jpeg = await asyncio.to_thread(desk.heads.render, face.identity, alpha)
            except expected_errors() as error:
                with client:
                    note.set_text(str(error))
                return
            picture.set_content(_picture(base64.b64encode(jpeg).decode()))

        ui.timer(0.08, render)
    follow()


def _slider(label: str, moved: Callable[[float], None]) -> ui.element:
    """The browser's own slider: arrow keys, page keys, home and end move it, and readers name it.

    Its place is told to the server and never told back: an echo of where it was some keys ago would
    pull a slider back whose key is held down (Quasar's does that, and ui.slider is Quasar's).
    """
    slider = ui.element("input").classes("step")
    # An attribute (^), not the property: Vue would set that again whenever the page changes. And
    # the ends before the type: a slider without ends stands at 50, and would stay at the new end.
    places = {"min": -FURTHEST, "max": FURTHEST, "step": 0.1, "^value": 0}
    slider.props.update({**places, "type": "range", "autocomplete": "off", "aria-label": label})
    slider.on(
        "input",
        lambda event: moved(float(event.args)),
        js_handler="(event) => emit(event.target.value)",
        throttle=0.05,
    )
    return slider


def _meter(tag: str, margin: float) -> str:
    width = min(abs(margin) / (2 * FURTHEST), 0.5) * 100
    left = 50 if margin >= 0 else 50 - width
    return Markup(
        '<div class="slide"><span>{}</span><span class="meter"><i style="left:{:.1f}%;'
        'width:{:.1f}%"></i></span><span class="value">{:+.2f}</span></div>'
    ).format(tag, left, width, margin)


def _picture(data: str) -> str:
    shown = f'src="data:image/jpeg;base64,{data}"' if data else ""
    return f'<img class="drawn" id="head" alt="The rendered head" {shown}>'
