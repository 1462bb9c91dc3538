"""What is put behind a person: the scene they were filmed in, a picture, a video, a colour.

A background is walked through frame by frame on the 25 fps grid, one of them in memory.
What does not fit (another aspect, too few pixels, too short) is refused with both values, unless
the caller says what to do about it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from pipeline import media
from pipeline.clock import FPS
from pipeline.media_frames import WholeFrames
from render.errors import BackgroundError

ORIGINAL, TRANSPARENT = "original", "transparent"

Fit = Literal["exact", "cover"]
"""`exact`: the picture must be square and large enough. `cover`: it is scaled until it covers the
frame and cut evenly at the sides."""
End = Literal["refuse", "loop", "hold"]
"""What a video does that ends before the speech: be refused, begin again, or stand still."""


@runtime_checkable
class Background(Protocol):
    """Pictures of the size of the video's frames."""

    @property
    def record(self) -> dict[str, Any]:
        """JSON-able: what it is and what was done to it."""
        ...

    def frames(self, start: int) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
        """Frame `start` and all that follow, without end."""
        ...


@dataclass(frozen=True)
class Still:
    """The same picture for ever."""

    picture: UInt8[np.ndarray, "s s 3"]
    record: dict[str, Any]

    def frames(self, start: int) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
        """That picture."""
        while True:
            yield self.picture


@dataclass(frozen=True)
class Moving:
    """A video, one frame in memory."""

    whole: WholeFrames
    size: int
    end: End
    record: dict[str, Any]

    def frames(self, start: int) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
        """Read from the beginning up to `start`; then as `end` says."""
        length = len(self.whole)
        skip = start % length if self.end == "loop" else min(start, length - 1)
        picture = None
        while True:
            for source in islice(self.whole, skip, None):
                picture = fitted(source, self.size)
                yield picture
            skip = 0
            while self.end != "loop" and picture is not None:
                yield picture


def open_background(
    told: str, size: int, frames: int, fit: Fit = "exact", end: End = "refuse"
) -> Background:
    """The background that `told` names: a file, or a colour (`#20a060`, `white`, `rgb(0,80,200)`).

    `original` and `transparent` are no backgrounds: the caller deals with them.

    Raises:
        BackgroundError: neither file nor colour; a file that is no picture; one that does not fit.
        MediaError: a video that cannot be used.
    """
    path = Path(told)
    if path.is_file():
        if path.suffix.lower() in media.MEDIA_SUFFIXES:
            return _video(path, size, frames, fit, end)
        return _picture(path, size, fit)
    try:
        colour = ImageColor.getrgb(told)
    except ValueError as error:
        raise BackgroundError(
            f"background {told!r}: no file of that name, and no colour; give a picture, a video, "
            f"a colour (#20a060, white), {ORIGINAL} or {TRANSPARENT}"
        ) from error
    if len(colour) == 4 and colour[3] != 255:
        raise BackgroundError(
            f"background {told!r}: a colour with opacity {colour[3]} of 255; give an opaque one, "
            f"or {TRANSPARENT}"
        )
    picture = np.empty((size, size, 3), np.uint8)
    picture[:] = colour[:3]
    return Still(picture, {"colour": "#{:02x}{:02x}{:02x}".format(*colour[:3])})


def fitted(picture: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "s s 3"]:
    """The largest square in the middle, brought to `size`."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    how = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size, size), interpolation=how), np.uint8)


def check_fit(name: str, width: int, height: int, size: int, fit: Fit) -> None:
    """Hold a background's size against the frame's.

    Raises:
        BackgroundError: another aspect, or fewer pixels, and the caller did not ask to cover.
    """
    if fit == "cover":
        return
    if width != height:
        raise BackgroundError(
            f"background {name}: {width}x{height} px is not square, the video is {size}x{size}; "
            "cut it yourself, or let it be cut evenly with --background-fit cover"
        )
    if width < size:
        raise BackgroundError(
            f"background {name}: {width}x{height} px, the video is {size}x{size}; give a larger "
            "one, make the video smaller (--size), or let it be enlarged with --background-fit "
            "cover"
        )


def _picture(path: Path, size: int, fit: Fit) -> Still:
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            check_fit(path.name, image.width, image.height, size, fit)
            if "A" in image.getbands() and image.getextrema()[-1][0] != 255:  # type: ignore[index]
                raise BackgroundError(
                    f"background {path.name}: the picture is transparent in places; lay it on a "
                    f"colour first, or give {TRANSPARENT}"
                )
            picture = np.asarray(image.convert("RGB"))
            record = {"picture": path.name, "width": image.width, "height": image.height}
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise BackgroundError(
            f"background {path.name}: cannot be read as a picture ({error}); give a PNG, a JPEG or "
            f"a video ({', '.join(sorted(media.MEDIA_SUFFIXES))})"
        ) from error
    return Still(fitted(picture, size), record | {"fit": fit})


def _video(path: Path, size: int, frames: int, fit: Fit, end: End) -> Moving:
    whole = WholeFrames(media.probe(path))
    check_fit(path.name, *whole.size, size, fit)
    if len(whole) < frames and end == "refuse":
        raise BackgroundError(
            f"background {path.name}: {len(whole) / FPS:.2f} s, the speech lasts "
            f"{frames / FPS:.2f} s; give a longer one, or let it begin again or stand still with "
            "--background-end loop or hold"
        )
    return Moving(whole, size, end, {"video": path.name, "fit": fit, "end": end, **whole.record})
