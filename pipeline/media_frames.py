"""Whole upright pictures of a file on the 25 fps grid, one at a time.

`media_video` cuts one square out and holds a clip; this holds one frame, and reads a file as often
as it is walked through.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8

from pipeline import media
from pipeline.errors import MediaError
from pipeline.media_file import reading
from pipeline.media_graph import Developer
from pipeline.media_video import Take, VideoConfig


class WholeFrames:
    """Frames of a video, RGB, at the size they are displayed in.

    >>> frames = WholeFrames(media.probe(path))
    >>> for frame in frames: ...
    """

    def __init__(self, info: media.MediaInfo) -> None:
        """Decodes once, to know which picture each grid frame shows.

        Raises:
            MediaError: nothing or too little decodes.
        """
        self.info = info
        take = Take(info, info.video.zero, None)
        with reading(info.path):
            for _ in take.frames():
                pass
            self._shown, self.facts = take.grid(VideoConfig().longest_gap)

    def __len__(self) -> int:
        """V."""
        return len(self._shown)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        return self.info.video.width, self.info.video.height

    @property
    def record(self) -> dict[str, Any]:
        """JSON-able: what was done to bring the file onto the grid."""
        return {"frames": len(self), "width": self.size[0], "height": self.size[1], **self.facts}

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """Every grid frame in order; a picture shown twice comes twice.

        Raises:
            MediaError: the file changed since it was first read.
        """
        info = self.info
        developer = Developer(info.video, None, max(self.size))
        repeats = dict(zip(*np.unique(self._shown, return_counts=True), strict=True))
        left = len(repeats)
        with reading(info.path):
            for number, frame in enumerate(Take(info, info.video.zero, None).frames()):
                if count := repeats.get(number):
                    picture = developer.develop(frame)
                    left -= 1
                    for _ in range(count):
                        yield picture
                if not left:
                    return
        raise MediaError(
            f"{info.path.name}: a second decode gave {len(repeats) - left} pictures, the first "
            f"{len(repeats)}; the file changed while it was read"
        )
