"""What a media file holds, before any of it is believed: containers, streams, durations.

Files are opened in-process with PyAV. Only plain containers and only local files are allowed: a
playlist that poses as a video can neither reach the network nor other files.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.logging
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from pipeline.errors import MediaError

av.logging.set_level(av.logging.PANIC)  # its reports come as exceptions, not as lines on stderr

MEDIA_SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".flv"),
        *(".ts", ".mts", ".m2ts", ".3gp", ".wmv", ".asf", ".ogv", ".vob"),
    )
)
"""File name endings that announce a video."""

_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,ogg,h264,hevc,m4v,"
    "wav,mp3,aac,flac,aiff,w64"
)
_SIZE_LIMIT = 16_384
"""Pixels; a header that claims a wider or higher picture is not believed."""


@dataclass(frozen=True)
class VideoInfo:
    """The picture stream, as the header and the first decoded frame tell."""

    index: int
    codec: str
    pixel_format: str
    width: int
    """Displayed pixels, after rotation and pixel aspect."""
    height: int
    """Displayed pixels."""
    rotation: int
    """Degrees the picture must be turned counter-clockwise for display: 0, 90, 180, 270."""
    pixel_aspect: Fraction
    """Width of a stored pixel over its height."""
    interlaced: bool
    time_base: Fraction
    first: int
    """Display time of the first frame in `time_base` units: the zero of the clip's clock."""
    rate: Fraction | None
    """Frames per second as the header gives them; None when it does not."""
    announced: Fraction | None
    """Seconds of picture as the header of this stream gives them; None when it does not."""

    @property
    def zero(self) -> Fraction:
        """Display time of the first frame in container seconds."""
        return self.first * self.time_base


@dataclass(frozen=True)
class AudioInfo:
    """The sound stream that accompanies the picture."""

    index: int
    codec: str
    rate: int
    """Samples per second."""
    channels: int
    layout: str


@dataclass(frozen=True)
class MediaInfo:
    """One file's usable streams."""

    path: Path
    container: str
    video: VideoInfo
    audio: AudioInfo | None
    others: tuple[str, ...]
    """Streams that are not used, in words."""


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
            container_options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"},
        ) as container,
    ):
        yield container


def probe(path: Path) -> MediaInfo:
    """Read headers and decode the first frame.

    Raises:
        MediaError: not media, truncated, no picture stream, or no frame that decodes.
    """
    with opened(path) as container:
        picture = _picture(path, container)
        sound = container.streams.best("audio", related=picture)
        audio = None
        if isinstance(sound, av.AudioStream) and sound.codec_context is not None:
            context = sound.codec_context
            if context.sample_rate > 0 and context.channels > 0:
                audio = AudioInfo(
                    index=sound.index,
                    codec=context.name,
                    rate=context.sample_rate,
                    channels=context.channels,
                    layout=context.layout.name,
                )
        used = {picture.index, -1 if audio is None else audio.index}
        unused = tuple(_stream_in_words(s) for s in container.streams if s.index not in used)
        video = _probe_video(path, container, picture)
        return MediaInfo(path, container.format.name, video, audio, unused)


def duration(info: MediaInfo) -> Fraction:
    """Seconds from the first frame to the end of the last, from the packets and not the header.

    Raises:
        MediaError: the file cannot be read.
    """
    return length(info.path)


def length(path: Path) -> Fraction:
    """Seconds of picture, counted over the packets; no frame is decoded.

    Raises:
        MediaError: not media, no picture stream, or no packet in it.
    """
    first: Fraction | None = None
    end = Fraction(0)
    with opened(path) as container:
        stream = _picture(path, container)
        tick = stream.time_base or Fraction(1)
        try:
            for packet in container.demux(stream):
                if packet.pts is not None:
                    shown = packet.pts * tick
                    first = shown if first is None else min(first, shown)
                    end = max(end, shown + (packet.duration or 0) * tick)
        except FFmpegError:
            pass  # a damaged tail: what lies before it still counts
    if first is None:
        raise MediaError(f"{path.name}: the video stream is empty (truncated or only a header)")
    return end - first


def _picture(path: Path, container: InputContainer) -> av.VideoStream:
    """The first picture stream that is no cover image."""
    for stream in container.streams.video:
        if not _is_cover(stream):
            return stream
    held = ", ".join(_stream_in_words(s) for s in container.streams) or "no stream at all"
    raise MediaError(f"{path.name}: no video stream (it holds {held})")


def _probe_video(path: Path, container: InputContainer, stream: av.VideoStream) -> VideoInfo:
    if stream.codec_context is None:
        raise MediaError(f"{path.name}: no decoder for its video stream")
    stream.codec_context.thread_count = 1
    frame = _first_frame(container, stream)
    if frame is None or stream.time_base is None:
        raise MediaError(f"{path.name}: no video frame decodes (truncated, encrypted or empty)")
    if frame.pts is None:
        raise MediaError(
            f"{path.name}: frames carry no display times (a raw stream); put it into mp4 or mkv"
        )
    if max(frame.width, frame.height) > _SIZE_LIMIT or min(frame.width, frame.height) < 16:
        raise MediaError(
            f"{path.name}: picture of {frame.width}x{frame.height} px; "
            f"16 to {_SIZE_LIMIT} px a side are read"
        )
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if not Fraction(1, 4) <= aspect <= 4:
        aspect = Fraction(1)  # no camera has such pixels: an unset or broken field
    rotation = round(frame.rotation / 90) * 90 % 360
    width, height = max(1, round(frame.width * aspect)), frame.height
    if rotation in (90, 270):
        width, height = height, width
    return VideoInfo(
        index=stream.index,
        codec=stream.codec_context.name,
        pixel_format=frame.format.name,
        width=width,
        height=height,
        rotation=rotation,
        pixel_aspect=aspect,
        interlaced=bool(frame.interlaced_frame),
        time_base=stream.time_base,
        first=frame.pts,
        rate=stream.average_rate,
        announced=_announced(stream, stream.time_base),
    )


def _announced(stream: av.VideoStream, tick: Fraction) -> Fraction | None:
    """The stream's own length; the container's is no witness (one file here claims 40 hours)."""
    if stream.duration:
        return stream.duration * tick
    clock = stream.metadata.get("DURATION", "").split(":")  # Matroska: "00:00:03.800000000"
    try:
        hours, minutes, rest = (Fraction(part) for part in clock)
    except (ValueError, ZeroDivisionError):
        return None
    return hours * 3600 + minutes * 60 + rest


def _first_frame(container: InputContainer, stream: av.VideoStream) -> av.VideoFrame | None:
    for packet in container.demux(stream):
        try:
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    return frame
        except FFmpegError:
            continue  # a damaged packet: the next may hold
    return None


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


def _is_cover(stream: av.VideoStream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _stream_in_words(stream: object) -> str:
    kind = getattr(stream, "type", "unknown")
    context = getattr(stream, "codec_context", None)
    return f"{kind} {context.name}" if context is not None else str(kind)


def _in_words(path: Path, error: FFmpegError) -> str:
    log = str(error.log[-1]).strip() if error.log else ""
    if "moov atom not found" in log:
        return f"{path.name}: truncated or not a video (no moov atom: its index is missing)"
    return f"{path.name}: unreadable ({error.strerror}{': ' + log if log else ''})"


def seconds(value: Fraction) -> float:
    """A time for people and JSON: rounded to microseconds."""
    return math.floor(float(value) * 1e6 + 0.5) / 1e6
