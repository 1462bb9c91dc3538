"""Opening a file that nobody vouches for: which containers, which protocols, how large.

Files are opened in-process with PyAV. Only plain containers and only local files are allowed: a
playlist that poses as a video can neither reach the network nor other files. A file name is data:
it reaches the library as an absolute path, so that no name is an option, a pattern or an address.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.logging
from av.container import InputContainer
from av.error import FFmpegError

from pipeline.errors import MediaError

av.logging.set_level(av.logging.PANIC)  # its reports come as exceptions, not as lines on stderr

_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,ogg,h264,hevc,m4v,"
    "wav,mp3,aac,flac,aiff,w64"
)
_LIMITS = {
    "format_whitelist": _CONTAINERS,
    "protocol_whitelist": "file",
    "max_streams": "64",
    "max_probe_packets": "2500",
}
SIDE_LIMIT = 16_384
"""Pixels; a header that claims a wider or higher picture is not believed."""
AREA_LIMIT = 2**26
"""Pixels of a picture that are decoded at most: twice 8K."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Give every failure inside PyAV one shape: a MediaError with ffmpeg's own words."""
    try:
        yield
    except FFmpegError as error:
        raise MediaError(_in_words(path, error)) from error
    except (OverflowError, MemoryError, ZeroDivisionError, UnicodeDecodeError) as error:
        raise MediaError(f"{path.name}: header cannot be believed ({error})") from error


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a file for demuxing.

    Raises:
        MediaError: with the reason, also for failures inside the block.
    """
    _refuse_non_media(path)
    with (
        reading(path),
        av.open(
            str(path.resolve()),
            metadata_errors="replace",
            container_options=_LIMITS,
        ) as container,
    ):
        yield container


def limited(stream: av.VideoStream) -> av.VideoStream:
    """The stream with its decoder on one thread and within `AREA_LIMIT`.

    One worker a core: more threads would only fight.
    """
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"max_pixels": str(AREA_LIMIT)}
    return stream


def _refuse_non_media(path: Path) -> None:
    """Name the usual impostors before ffmpeg calls them all "invalid data"."""
    if not path.is_file():
        raise MediaError(f"{path}: no such file")
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise MediaError(f"{path.name}: the file is empty (0 bytes)")
    if head.startswith(b"version https://git-lfs"):
        raise MediaError(f"{path.name}: a Git LFS pointer, not the file; run `git lfs pull`")
    if all(byte in _TEXT for byte in head):
        raise MediaError(f"{path.name}: a text file, not media")


_TEXT = frozenset(range(32, 127)) | {9, 10, 12, 13}


def _in_words(path: Path, error: FFmpegError) -> str:
    log = str(error.log[-1]).strip() if error.log else ""
    if "moov atom not found" in log:
        return f"{path.name}: truncated or not a video (no moov atom: its index is missing)"
    return f"{path.name}: unreadable ({error.strerror}{': ' + log if log else ''})"
