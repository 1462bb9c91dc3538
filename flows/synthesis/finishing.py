"""From pieces to the finished file: joined, with sound, and marked as synthetic."""

from pathlib import Path
from typing import Any

from flows.synthesis.provenance import TOOL
from render.content_credentials import sign, why_not
from render.segments import Segments
from render.soundtrack import Soundtrack
from render.xmp import add_xmp, tags, xmp_packet


def finished(
    segments: Segments,
    folder: Path,
    title: str,
    sound: Soundtrack | None,
    origin: dict[str, str],
    credentials: bool,
) -> tuple[Path, dict[str, Any]]:
    """The file, still in `folder`, and which marks it bears.

    Args:
        segments: all pieces, whole.
        folder: where to work.
        title: name the video will have.
        sound: what is heard; None: nothing.
        origin: provenance that the marks tell.
        credentials: sign it, where that can be done.
    """
    tool = " ".join(TOOL)
    joined = folder / f"joined{segments.coding.suffix}"
    segments.join(joined, sound, tags(tool, origin))
    marks: dict[str, Any] = {"tags": True, "xmp": add_xmp(joined, xmp_packet(tool, origin))}
    if not credentials:
        return joined, marks | {"c2pa": "not signed: switched off"}
    if reason := why_not(joined):
        return joined, marks | {"c2pa": f"not signed: {reason}"}
    signed = folder / f"signed{segments.coding.suffix}"
    whose = sign(joined, signed, title, TOOL, origin)
    return signed, marks | {"c2pa": f"signed with {whose}"}
