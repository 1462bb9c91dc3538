"""From frames to the finished file: pieces on disk, joined, with sound, marked as synthetic."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flows.config import SynthesizeConfig
from flows.progress import step
from flows.synthesis.provenance import TOOL
from render.codings import Coding
from render.content_credentials import sign, why_not
from render.segments import Segments
from render.soundtrack import Soundtrack, write_soundtrack
from render.xmp import add_xmp, tags, xmp_packet


@dataclass(frozen=True)
class Frames:
    """What a video shows."""

    of: Callable[[int], Iterator[np.ndarray]]
    """Frames from one on; the same frames wherever it begins."""
    size: int
    """Their side, pixels."""
    count: int


def video_of(
    config: SynthesizeConfig, coding: Coding, frames: Frames, origin: dict[str, str], folder: Path
) -> tuple[Path, dict[str, Any]]:
    """Write what is not yet written, join all of it; the file is still in `folder`.

    Returns:
        The file, and what the record says: size, marks, provenance, where it was gone on, seconds.
    """
    began = time.monotonic()
    with Segments(folder / "pieces", frames.size, coding, frames.count) as segments:
        there = segments.done
        note = f"{there} of {frames.count} were there" if there else ""
        with step("render video", total=frames.count - there, unit="frames") as bar:
            for frame in frames.of(there):
                segments.write(frame)
                bar.advance(note=note)
    rendered = time.monotonic()
    with step("sound, marks"):
        sound = write_soundtrack(config.audio, folder / "sound.s16", frames.count)
        joined, marks = finished(
            segments, folder, config.out.name, sound, origin, config.look.content_credentials
        )
    return joined, {
        "size": frames.size,
        "marks": {"visible": config.look.visible_mark, **marks},
        "provenance": origin,
        "resumed_at": there,
        "seconds": {"render": rendered - began, "join": time.monotonic() - rendered},
    }


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
