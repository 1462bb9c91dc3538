"""The evaluation as one HTML page: videos of both sides, every table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape

from flows.evaluation.clips import Made
from flows.evaluation.tables import Rows


@dataclass(frozen=True)
class Part:
    """One table of the page."""

    title: str
    rows: Rows
    notice: str = ""

    @property
    def columns(self) -> list[str]:
        """In the order they first appear."""
        return list(dict.fromkeys(name for row in self.rows for name in row))


def write_page(
    out: Path, title: str, lead: str, made: Sequence[Made], sections: Sequence[Part]
) -> Path:
    """`evaluation.html`; videos stay files beside it."""
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(default=True)
    )
    clips = [
        {
            "clip_id": clip.clip_id,
            "emotion": clip.emotion,
            "generated": clip.generated.relative_to(out).as_posix(),
            "reference": clip.reference.relative_to(out).as_posix(),
        }
        for clip in made
        if clip.generated and clip.reference
    ]
    text = pages.get_template("page.html.j2").render(
        title=title, lead=lead, clips=clips, sections=sections
    )
    path = out / "evaluation.html"
    path.write_text(text, "utf-8")
    return path
