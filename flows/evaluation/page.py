"""The evaluation as one HTML page: videos of both sides, every table."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, select_autoescape

from flows.evaluation.clips import Made
from flows.evaluation.places import generated_in
from flows.evaluation.side_by_side import Run
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
    out: Path,
    title: str,
    lead: str,
    made: Sequence[Made],
    sections: Sequence[Part],
    system: str = "made",
    others: Sequence[Run] = (),
) -> Path:
    """`evaluation.html`; videos stay files: this run's beside it, those of others in their folders.

    A video of another run is shown where that run has the clip.
    """
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(default=True)
    )
    clips = []
    for clip in made:
        if not (clip.generated and clip.reference):
            continue
        videos = [(system, clip.generated)]
        videos += [(run.name, generated_in(run.folder, clip.clip_id)) for run in others]
        videos.append(("recorded", clip.reference))
        shown = [
            {"what": what, "place": quote(Path(os.path.relpath(path, out)).as_posix())}
            for what, path in videos
            if path.is_file()
        ]
        clips.append({"clip_id": clip.clip_id, "emotion": clip.emotion, "videos": shown})
    text = pages.get_template("page.html.j2").render(
        title=title, lead=lead, clips=clips, sections=sections
    )
    path = out / "evaluation.html"
    path.write_text(text, "utf-8")
    return path
