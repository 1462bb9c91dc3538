"""What a media file holds, before any of it is believed: containers, streams, durations."""

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from pipeline.errors import MediaError
from pipeline.media_colour import hdr_kind, matrix_of
from pipeline.media_file import AREA_LIMIT, SIDE_LIMIT, limited, opened

MEDIA_SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".flv"),
        *(".ts", ".mts", ".m2ts", ".3gp", ".wmv", ".asf", ".ogv", ".vob"),
    )
)
"""File name endings that announce a video."""


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
    """Seconds of picture as the header gives them; None when it does not."""
    hdr: str = ""
    """`pq` or `hlg` where the picture is tone-mapped to SDR."""
    matrix: str = ""
    """YUV matrix the colours are decoded with."""

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
    """The first picture stream marked as default, else the first; cover images never count."""
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    marked = [stream for stream in streams if stream.disposition & Disposition.default]
    if streams:
        return (marked or streams)[0]
    held = ", ".join(_stream_in_words(s) for s in container.streams) or "no stream at all"
    raise MediaError(f"{path.name}: no video stream (it holds {held})")


def _probe_video(path: Path, container: InputContainer, stream: av.VideoStream) -> VideoInfo:
    if stream.codec_context is None:
        raise MediaError(f"{path.name}: no decoder for its video stream")
    limited(stream)
    frame = _first_frame(container, stream)
    if frame is None or stream.time_base is None:
        raise MediaError(f"{path.name}: no video frame decodes (truncated, encrypted or empty)")
    if frame.pts is None:
        raise MediaError(
            f"{path.name}: frames carry no display times (a raw stream); put it into mp4 or mkv"
        )
    if max(frame.width, frame.height) > SIDE_LIMIT or min(frame.width, frame.height) < 16:
        raise MediaError(
            f"{path.name}: picture of {frame.width}x{frame.height} px; "
            f"16 to {SIDE_LIMIT} px a side are read"
        )
    if frame.width * frame.height > AREA_LIMIT:
        raise MediaError(
            f"{path.name}: picture of {frame.width}x{frame.height} px; "
            f"at most {AREA_LIMIT} px are decoded"
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
        announced=_announced(stream, frame.pts * stream.time_base),
        hdr=hdr_kind(frame),
        matrix=matrix_of(frame),
    )


def _announced(stream: av.VideoStream, zero: Fraction) -> Fraction | None:
    """The stream's own length; the container's is no witness (one file here claims 40 hours)."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    clock = stream.metadata.get("DURATION", "").split(":")  # Matroska: "00:00:03.800000000"
    try:
        hours, minutes, rest = (Fraction(part) for part in clock)
    except (ValueError, ZeroDivisionError):
        return None
    return hours * 3600 + minutes * 60 + rest - zero  # it says when the stream ends


def _first_frame(container: InputContainer, stream: av.VideoStream) -> av.VideoFrame | None:
    for packet in container.demux(stream):
        try:
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    return frame
        except FFmpegError:
            continue  # a damaged packet: the next may hold
    return None


def _is_cover(stream: av.VideoStream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _stream_in_words(stream: object) -> str:
    kind = getattr(stream, "type", "unknown")
    context = getattr(stream, "codec_context", None)
    return f"{kind} {context.name}" if context is not None else str(kind)


def seconds(value: Fraction) -> float:
    """A time for people and JSON: rounded to microseconds."""
    return math.floor(float(value) * 1e6 + 0.5) / 1e6
