"""One self-contained HTML page: sections of text, tables, pictures; no network, no script."""

import base64
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, select_autoescape


@dataclass(frozen=True)
class Table:
    """Rows under a header; a cell that is a number is set to the right."""

    header: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture with a caption; ``data`` is PNG, JPEG or SVG bytes."""

    data: bytes
    mime: str
    caption: str

    @property
    def uri(self) -> str:
        """The picture as a data URI, so that the page is one file."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data).decode()}"


@dataclass
class Section:
    """A headed part of the page; what is empty is left out."""

    title: str
    text: str = ""
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Page:
    """A whole report."""

    title: str
    lead: str
    facts: list[tuple[str, str]]
    """Big figures on top: (value, what it is)."""
    video: Path | None = None
    """Played from beside the page; a path relative to it."""
    sections: list[Section] = field(default_factory=list)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)


def write_page(page: Page, path: Path) -> Path:
    """Write ``page`` to ``path`` and return it."""
    environment = Environment(
        loader=PackageLoader("flows.report", "."), autoescape=select_autoescape(default=True)
    )
    environment.filters["cell"] = _cell
    environment.tests["numeric"] = lambda value: isinstance(value, int | float)
    text = environment.get_template("template.html.j2").render(page=page)
    path.write_text(text, encoding="utf-8")
    return path
