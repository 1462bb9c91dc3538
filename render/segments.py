"""A video in pieces on disk: what is whole stays after a kill, and is joined without coding again.

A piece is a complete file named by its first and last frame, so that the folder says what is done.
"""

import re
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import ffmpeg
import numpy as np
from av.error import FFmpegError
from jaxtyping import UInt8

from pipeline.clock import FPS
from render.codings import Coding
from render.errors import VideoError
from render.soundtrack import Soundtrack
from render.video import VideoWriter, arguments, check_size

LENGTH = 100
"""Frames of a piece: 4 s. What a kill costs at most; each piece starts an ffmpeg (about 40 ms)."""
LEAST = 8
"""Frames of the last piece: fewer are added to the one before. H.264 of one or two frames has no
reordering delay as longer pieces have, and would join with a gap in the decoding order."""

_NAME = re.compile(r"(\d{7})-(\d{7})")


class Segments:
    """The pieces of one video; writing goes on after the last whole one."""

    def __init__(
        self, folder: Path, size: int, coding: Coding, frames: int, length: int = LENGTH
    ) -> None:
        """Take stock of `folder`, which is made if need be, for a video of `frames`.

        Pieces behind a gap, damaged ones and drafts are removed.

        Raises:
            VideoError: an odd size.
        """
        check_size(folder, size)
        self.folder = folder
        self.size = size
        self.coding = coding
        self.frames = frames
        self.length = length
        folder.mkdir(parents=True, exist_ok=True)
        self._whole = self._take_stock()
        self.done = _span(self._whole[-1])[1] + 1 if self._whole else 0
        """Frames that are on disk or in the piece under way."""
        self._writer: VideoWriter | None = None
        self._first = self.done

    def write(self, frame: UInt8[np.ndarray, "h w channels"]) -> None:
        """Append a frame.

        Raises:
            VideoError: a frame of another size, or ffmpeg gave up.
        """
        if self._writer is None:
            self._first = self.done
            draft = self.folder / f"under-way{self.coding.suffix}"
            self._writer = VideoWriter(draft, self.size, transparent=self.coding.transparent)
        self._writer.write(frame)
        self.done += 1
        if self.done - self._first >= self.length and self.frames - self.done >= LEAST:
            self.finish()

    def finish(self) -> None:
        """Complete the piece under way, however short."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        writer.close()
        name = f"{self._first:07d}-{self.done - 1:07d}{self.coding.suffix}"
        self._whole.append(writer.path.rename(self.folder / name))

    def __enter__(self) -> "Segments":
        """Start writing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the last piece, or leave out the one under way if the block failed."""
        if kind is None:
            self.finish()
        elif self._writer is not None:
            self._writer.abandon()
            self._writer = None

    def join(self, out: Path, sound: Soundtrack | None, tags: dict[str, str]) -> None:
        """All pieces in one file, with sound and metadata; pictures are copied as they are.

        Raises:
            VideoError: frames are missing or too many, the sound is of another length, or ffmpeg
                failed.
        """
        frames = self.frames
        if self.done != frames:
            raise VideoError(
                f"{out}: {self.done} of {frames} frames are written; render the rest first"
            )
        if sound is not None and sound.frames != frames:
            raise VideoError(
                f"{out}: {frames} frames, sound for {sound.frames}; cut both to the same length"
            )
        listing = self.folder / "pieces.txt"
        lines = []
        for piece in self._whole:
            first, last = _span(piece)
            lines.append(f"file {piece.name}\nduration {(last - first + 1) / FPS}\n")
        listing.write_text("".join(lines))
        streams = [ffmpeg.input(str(listing.resolve()), format="concat", safe=0).video]
        options: dict[str, Any] = {
            "vcodec": "copy",
            **self.coding.mux,
            "map_metadata": -1,
            "fflags": "+bitexact",
        }
        if sound is not None:
            streams.append(
                ffmpeg.input(
                    str(sound.path.resolve()), format="s16le", ar=sound.rate, ac=sound.channels
                ).audio
            )
            options |= self.coding.sound | {"flags:a": "+bitexact"}
        command = ffmpeg.output(*streams, str(out.resolve()), **options)
        line = arguments(command)
        at = line.index(str(out.resolve()))
        line[at:at] = [
            part for name, value in tags.items() for part in ("-metadata", f"{name}={value}")
        ]
        ran = subprocess.run(line, capture_output=True, stdin=subprocess.DEVNULL)
        if ran.returncode != 0:
            raise VideoError(f"{out}: joining failed: {ran.stderr.decode(errors='replace')[-500:]}")
        if (held := pictures_in(out)) != frames:
            raise VideoError(
                f"{out}: {held} frames came out of {frames}; remove {self.folder} and run again"
            )

    def _take_stock(self) -> list[Path]:
        found: list[Path] = []
        end = 0
        broken = False
        for path in sorted(self.folder.glob(f"*{self.coding.suffix}")):
            span = _NAME.fullmatch(path.stem)
            first, last = (int(span[1]), int(span[2])) if span else (-1, -1)
            good = not broken and first == end and last >= first
            if good and pictures_in(path) == last - first + 1:
                found.append(path)
                end = last + 1
            else:
                broken = broken or span is not None
                path.unlink()
        for draft in self.folder.glob(".*.draft*"):
            draft.unlink()
        return found


def pictures_in(path: Path) -> int:
    """Coded pictures of a file; 0 where it cannot be read."""
    try:
        with av.open(str(path)) as file:
            return sum(1 for packet in file.demux(video=0) if packet.size)
    except (FFmpegError, IndexError):
        return 0


def _span(path: Path) -> tuple[int, int]:
    first, last = path.stem.split("-")
    return int(first), int(last)
