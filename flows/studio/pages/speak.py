"""The timeline editor: emotions over a sound, and a preview by the code of `emohead synthesize`."""

import asyncio
import json
import secrets
import shlex
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from markupsafe import Markup
from nicegui import events, ui
from starlette.requests import Request

from flows.expected import expected_errors
from flows.inspection.encoding import wav
from flows.studio.desk import Desk
from flows.studio.pages.frame import empty, frame, markup, trouble
from flows.studio.preview import Preview, Segment, complaint, timeline
from flows.studio.routes import made_videos
from pipeline.clock import FPS, SAMPLE_RATE

PEAKS = 240
"""Bars of the drawn sound."""
MOST_SOUNDS = 200
"""Clips offered by name; more are found by typing on the clips page."""
LARGEST = 50_000_000
"""Bytes of an uploaded sound."""


class Editor:
    """One page's state: a sound, segments, the preview that runs."""

    def __init__(self, desk: Desk, identity: str) -> None:
        """`identity`: whose head speaks."""
        self.desk, self.identity = desk, identity
        self.token = secrets.token_hex(8)
        self.sound: Path | None = None
        self.seconds = 0.0
        self.words: tuple[tuple[str, float, float], ...] = ()
        self.peaks: list[float] = []
        self.segments: list[Segment] = []
        self.preview: Preview | None = None

    def take(self, samples: np.ndarray, words: tuple[tuple[str, float, float], ...]) -> None:
        """Speak this from now on."""
        self.sound = self.desk.folder / f"sound-{self.token}.wav"
        self.sound.write_bytes(wav(samples))
        self.seconds, self.words = len(samples) / SAMPLE_RATE, words
        parts = np.array_split(np.abs(samples.astype(np.float64)), PEAKS)
        tops = np.array([part.max() if len(part) else 0.0 for part in parts])
        self.peaks = (tops / max(tops.max(), 1.0)).round(3).tolist()
        end = int(self.seconds * FPS) / FPS
        self.segments = [s for s in self.segments if s.end <= end]

    def told(self) -> str:
        """For the browser."""
        rows = [vars(s) for s in self.segments]
        parts = {
            "seconds": self.seconds,
            "segments": rows,
            "peaks": self.peaks,
            "words": self.words,
        }
        return json.dumps(parts)


def add(desk: Desk) -> None:
    """The page `/timeline`."""

    @ui.page("/timeline")
    async def speak(request: Request) -> None:
        choices = await asyncio.to_thread(lambda: desk.library.choices)
        heads = desk.heads.identities()
        asked = request.query_params.get("identity", "")
        identity = asked if asked in heads else next(iter(heads), "")
        with frame(desk, request, "/timeline", "Timeline"):
            with ui.element("div").classes("row between"):
                markup("<h1>Timeline</h1>")
                if heads:
                    ui.select(
                        heads,
                        label="Whose head",
                        value=identity,
                        on_change=lambda e: ui.navigate.to(f"/timeline?identity={quote(e.value)}"),
                    ).props("outlined dense options-dense")
            missing = desk.previews.missing(identity) if identity else ""
            if not identity or missing:
                why = missing or (
                    "emohead studio --out OUT shows the heads of a job."
                    if desk.out is None
                    else f"emohead train head --out {desk.out} --identity NAME makes one."
                )
                empty("No head can speak yet", why)
                _finished(desk)
                return
            try:
                face = await asyncio.to_thread(desk.face, identity)
            except Exception as error:
                trouble(error)
                return
            await _editor(Editor(desk, identity), sorted(face.planes.planes), choices.identities)


async def _editor(editor: Editor, tags: list[str], identities: tuple[str, ...]) -> None:
    desk, library = editor.desk, editor.desk.library
    clips = {
        e.clip_id: f"{e.name} ({e.emotion or '?'}, {e.frames / FPS:.1f} s)"
        for e in sorted(library.entries, key=lambda e: (e.identity != editor.identity, e.name))
        if e.frames
    }
    offered = dict(list(clips.items())[:MOST_SOUNDS])

    def draw() -> None:
        lane = "document.querySelector('#lane')"
        ui.run_javascript(f"studio.timeline({lane}, {editor.told()})")
        rows.refresh()
        line.refresh()

    async def choose(clip_id: str) -> None:
        samples = await asyncio.to_thread(desk.media.sound, clip_id)
        if samples is None:
            ui.notify("This clip has no sound.", type="warning")
            return
        editor.take(samples, library.facts(clip_id).words)
        draw()

    async def upload(event: events.UploadEventArguments) -> None:
        from pipeline.sound import read_sound

        path = desk.folder / f"upload-{editor.token}"
        path.write_bytes(await event.file.read())
        try:
            samples = await asyncio.to_thread(read_sound, path)
        except expected_errors() as error:
            ui.notify(
                str(error).replace(str(path), event.file.name),
                type="negative",
                timeout=0,
                close_button=True,
            )
            return
        editor.take(np.round(np.clip(samples, -1, 1) * 32_767).astype(np.int16), ())
        draw()

    def changed(event: events.GenericEventArguments) -> None:
        """Segments as the browser has them after a drag: taken only if they make sense."""
        told = event.args
        if len(told) == 1 and isinstance(told[0], list):  # the one argument, or a list of it
            told = told[0]
        try:
            taken = [
                Segment(str(s["tag"]), float(s["start"]), float(s["end"]), float(s["intensity"]))
                for s in told
            ]
        except (KeyError, TypeError, ValueError):
            return
        editor.segments = [s for s in taken if s.tag in tags]
        rows.refresh()
        line.refresh()

    def edit(at: int, **what: Any) -> None:
        value = next(iter(what.values()))
        if value is None:
            return
        editor.segments[at] = Segment(**(vars(editor.segments[at]) | what))
        ui.run_javascript(f"studio.segments({json.dumps([vars(s) for s in editor.segments])})")
        line.refresh()

    def remove(at: int) -> None:
        del editor.segments[at]
        draw()

    def append() -> None:
        start = max((s.end for s in editor.segments), default=0.0)
        whole = int(editor.seconds * FPS) / FPS
        if whole - start < 0.2:
            ui.notify("The sound is full; shorten a segment first.", type="warning")
            return
        used = [s.tag for s in editor.segments]
        tag = next((t for t in tags if t not in used), tags[0])
        editor.segments.append(Segment(tag, start, min(whole, round(start + 1.0, 2))))
        draw()

    @ui.refreshable
    def rows() -> None:
        if not editor.segments:
            ui.label("No segment: the face takes the emotion it hears in the voice.").classes(
                "soft"
            )
        for at, segment in enumerate(editor.segments):
            with (
                ui.element("div").classes("form").props(f'role=group aria-label="Segment {at + 1}"')
            ):
                ui.select(
                    tags,
                    value=segment.tag,
                    label="Emotion",
                    on_change=lambda e, at=at: edit(at, tag=e.value),
                ).props("outlined dense options-dense")
                for label, name, step, top in (
                    ("From, s", "start", 0.04, editor.seconds),
                    ("To, s", "end", 0.04, editor.seconds),
                    ("Intensity", "intensity", 0.1, 2.0),
                ):
                    ui.number(
                        label,
                        value=getattr(segment, name),
                        min=0,
                        max=round(top, 2),
                        step=step,
                        on_change=lambda e, at=at, name=name: edit(at, **{name: e.value}),
                    ).props("outlined dense debounce=300")
                ui.button("Remove", on_click=partial(remove, at)).props("flat dense no-caps")

    @ui.refreshable
    def line() -> None:
        wrong = complaint(editor.segments, editor.seconds)
        if wrong:
            markup(Markup('<div class="error" role="alert">{}</div>').format(wrong))
        text = timeline(editor.segments)
        said = f"--emotion {shlex.quote(text)}" if text else "no --emotion: as the voice has it"
        markup(Markup('<div class="said mono" data-is="line">{}</div>').format(said))

    def start(quality: str) -> None:
        if editor.sound is None or complaint(editor.segments, editor.seconds):
            return
        text = " ".join(word for word, _, _ in editor.words)
        editor.preview = desk.previews.start(
            editor.identity, editor.sound, timeline(editor.segments), text, quality
        )
        watch()

    def watch() -> None:
        preview = editor.preview
        if preview is None or preview.state == told["state"] != "running":
            return
        told["state"] = preview.state
        busy = preview.state == "running"
        spinner.set_visibility(busy)
        stop.set_visibility(busy)
        progress.set_text(
            preview.said if busy else {"done": "", "stopped": "Stopped."}.get(preview.state, "")
        )
        result.clear()
        with result:
            if preview.state == "done":
                markup(
                    Markup(
                        '<video class="result" id="result" controls src="/previews/{0}.mp4">'
                        '</video><p class="small"><a href="/previews/{0}.mp4" '
                        'download="preview.mp4">Save this video</a> <span class="soft">It is '
                        "marked as synthetic and goes when the studio ends.</span></p>"
                    ).format(preview.token)
                )
            elif preview.state == "failed":
                markup(Markup('<div class="error" role="alert">{}</div>').format(preview.said))

    told = {"state": ""}
    with ui.element("section").classes("sheet"):
        with ui.element("div").classes("row"):
            pick = ui.select(
                offered,
                label="Sound of a clip",
                with_input=True,
                on_change=lambda e: choose(e.value),
            )
            pick.props("outlined dense options-dense").style("min-width: 320px")
            chosen = ui.upload(
                auto_upload=True,
                max_file_size=LARGEST,
                on_upload=upload,
                on_rejected=lambda: ui.notify("The file is larger than 50 MB.", type="warning"),
            )
            chosen.props('accept="audio/*,video/*"').classes("hidden")
            own = ui.button("A file of mine…", on_click=lambda: chosen.run_method("pickFiles"))
            own.props("outline dense no-caps")
        markup(
            '<div class="lane" id="lane" role="group" aria-label="Segments over the sound">'
            "<canvas></canvas></div>"
        )
        ui.on("segments", changed)
        rows()
        with ui.element("div").classes("row"):
            ui.button("Add a segment", on_click=append).props("outline dense no-caps")
        line()
    with ui.element("section").classes("sheet"):
        markup("<h2>Preview</h2>")
        with ui.element("div").classes("row"):
            ui.button("Quick preview", on_click=lambda: start("quick")).props(
                "unelevated no-caps color=primary"
            )
            ui.button("Full size", on_click=lambda: start("full")).props("outline no-caps")
            spinner = ui.spinner(size="20px")
            stop = ui.button("Stop", on_click=desk.previews.stop).props("flat dense no-caps")
            progress = ui.label("").classes("small soft")
        spinner.set_visibility(False)
        stop.set_visibility(False)
        result = ui.element("div")
    _finished(desk)
    ui.timer(0.4, watch)
    if offered:
        pick.set_value(next(iter(offered)))
    else:
        draw()


def _finished(desk: Desk) -> None:
    """Videos that lie in the output folder."""
    names = made_videos(desk.out)
    if not names:
        return
    body = Markup("").join(
        Markup(
            '<figure style="margin:0"><video class="result" controls preload="metadata" '
            'src="/made/{0}"></video><figcaption class="small soft">{0}</figcaption></figure>'
        ).format(name)
        for name in names[:6]
    )
    markup(
        Markup(
            '<section class="sheet"><h2>Made before</h2><div class="row">{}</div></section>'
        ).format(body)
    )
