"""What every page has: the bar on top, the mood, and boxes for nothing and for trouble."""

from collections.abc import Iterator
from contextlib import contextmanager

from markupsafe import Markup, escape
from nicegui import ui
from starlette.requests import Request

from flows.expected import expected_errors
from flows.studio.desk import Desk

PAGES = (("/", "Clips"), ("/emotions", "Emotions"), ("/timeline", "Timeline"))
MOOD = "emohead-mood"
"""Cookie: light or dark; without it, as the system has it."""
_HEAD = '<link rel="stylesheet" href="/static/studio.css"><script src="/static/studio.js"></script>'


def markup(text: Markup | str) -> ui.html:
    """HTML made here; what came from a store went through `escape` before."""
    return ui.html(text, sanitize=False)


@contextmanager
def frame(desk: Desk, request: Request, here: str, title: str) -> Iterator[None]:
    """A page below the bar."""
    ui.add_head_html(_HEAD)
    ui.colors(primary="#2c6e68")
    ui.page_title(f"{title} · emohead studio")
    mood = request.cookies.get(MOOD)
    dark = ui.dark_mode({"dark": True, "light": False}.get(mood or ""))
    library = desk.library
    links = Markup("").join(
        Markup('<a href="{}"{}>{}</a>').format(
            path, Markup(' aria-current="page"') if path == here else "", name
        )
        for path, name in PAGES
    )
    with ui.element("header").classes("top"):
        markup(
            '<a class="skip" href="#main">Skip to the content</a>'
            '<span class="mark">emohead studio</span>'
        )
        markup(Markup('<nav aria-label="Pages">{}</nav>').format(links))
        parts = (library.dataset, library.ref, library.snapshot.id[:8])
        short = "/".join(library.cache.location.split("/")[-2:])
        label = ui.label(" · ".join((short, *parts))).classes("where small soft")
        label.tooltip(f"{library.cache.location}, only read")

        async def turn() -> None:
            is_dark = await ui.run_javascript("document.body.classList.contains('body--dark')")
            dark.set_value(not is_dark)
            ui.run_javascript(
                f"document.cookie='{MOOD}={'light' if is_dark else 'dark'};path=/;"
                "max-age=31536000;samesite=strict'"
            )

        ui.button("Light / dark", on_click=turn).props("flat dense no-caps").classes("small")
    with ui.element("div").classes("content").props("id=main"):
        yield


def empty(title: str, *lines: str) -> None:
    """Nothing is here, and what would change that."""
    body = Markup("").join(Markup("<p>{}</p>").format(line) for line in lines)
    markup(Markup('<div class="empty" role="status"><h2>{}</h2>{}</div>').format(title, body))


def trouble(error: Exception) -> None:
    """An expected error in words; anything else is raised."""
    if not isinstance(error, expected_errors()):
        raise error
    markup(Markup('<div class="error" role="alert">{}</div>').format(str(error)))


def chips(flags: tuple[str, ...]) -> Markup:
    """Flags as small labels."""
    return Markup(" ").join(
        Markup('<span class="chip warn">{}</span>').format(escape(flag)) for flag in flags
    )
