"""Filter graphs: from a frame as the codec left it to upright, square-pixel RGB."""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import numpy as np
from av.error import BlockingIOError as NotYet
from av.error import EOFError as Drained
from av.filter import Graph
from jaxtyping import UInt8

from pipeline.errors import MediaError
from pipeline.geometry import Square
from pipeline.media import VideoInfo
from pipeline.media_colour import developing_steps

_EXACT = "accurate_rnd+full_chroma_int"  # without it swscale darkens by 1-2 of 255 (measured)
_UPRIGHT = {90: [("transpose", "cclock")], 270: [("transpose", "clock")]}
_UPRIGHT[180] = [("hflip", ""), ("vflip", "")]


class Developer:
    """Turns frames of one stream into RGB: rotate, crop, scale, convert, in one graph."""

    def __init__(self, info: VideoInfo, square: Square | None, size: int) -> None:
        """`square` None: the whole picture, shrunk until no side is longer than `size`."""
        self._info = info
        self._square = square
        self._size = size
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str] | None = None

    def develop(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "height width 3"]:
        """RGB of one frame.

        Raises:
            MediaError: the picture size or pixel format is not what it was at the start.
        """
        shape = (frame.width, frame.height, frame.format.name)
        if self._shape is None:
            self._graph, self._shape = self._build(frame), shape
        if self._graph is None or shape != self._shape:
            raise MediaError(
                f"the picture changes from {self._shape} to {shape} at frame time {frame.pts}; "
                "cut the file there"
            )
        self._graph.push(frame)
        out = self._graph.pull()
        if not isinstance(out, av.VideoFrame):
            raise MediaError(f"no picture came out of the filter graph at frame time {frame.pts}")
        return out.to_ndarray()

    def _build(self, frame: av.VideoFrame) -> Graph:
        info = self._info
        steps = list(_UPRIGHT.get(info.rotation, []))
        aspect = info.pixel_aspect
        across, down = (aspect, Fraction(1)) if info.rotation in (0, 180) else (Fraction(1), aspect)
        if self._square is None:
            shrink = min(Fraction(1), Fraction(self._size, max(info.width, info.height)))
            width = max(2, round(info.width * shrink))
            height = max(2, round(info.height * shrink))
            down_scaled = shrink < 1
        else:
            square = self._square
            x, y = round(square.x / across), round(square.y / down)
            held = _turned(frame, info.rotation)
            w = min(round(square.side / across), held[0] - x)
            h = min(round(square.side / down), held[1] - y)
            if (x, y, w, h) != (0, 0, *held):
                steps.append(("crop", f"{w}:{h}:{x}:{y}:exact=1"))
            width = height = self._size
            down_scaled = square.side > self._size
        kernel = "area" if down_scaled else "bicubic"
        steps += developing_steps(frame, f"{width}:{height}", f"{kernel}+{_EXACT}")
        return _chain(frame, steps, info.time_base)


class Deinterlacer:
    """bwdif, one frame out per frame in, only where a frame is flagged as interlaced."""

    def __init__(self, info: VideoInfo) -> None:
        """`info` gives the time unit the frames keep."""
        self._tick = info.time_base

    def run(self, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The same frames, whole, with their display times in the stream's own units."""
        graph: Graph | None = None
        for frame in frames:
            if graph is None:
                graph = _chain(frame, [("bwdif", "mode=send_frame:deint=interlaced")], self._tick)
            graph.push(frame)
            yield from self._ready(graph)
        if graph is not None:
            graph.push(None)
            yield from self._ready(graph)

    def _ready(self, graph: Graph) -> Iterator[av.VideoFrame]:
        while True:
            try:
                frame = graph.pull()
            except (NotYet, Drained):
                return
            if isinstance(frame, av.VideoFrame):
                if frame.pts is not None and frame.time_base is not None:
                    unit = frame.time_base / self._tick  # the filter counts in half ticks
                    frame.pts = round(frame.pts * unit)
                    frame.duration = round((frame.duration or 0) * unit)
                    frame.time_base = self._tick
                yield frame


def stored_bytes(frame: av.VideoFrame) -> int:
    """Memory one undeveloped frame holds."""
    return sum(plane.buffer_size for plane in frame.planes)


def _turned(frame: av.VideoFrame, rotation: int) -> tuple[int, int]:
    size = (frame.width, frame.height)
    return size if rotation in (0, 180) else (size[1], size[0])


def _chain(frame: av.VideoFrame, steps: list[tuple[str, str]], tick: Fraction) -> Graph:
    graph = Graph()
    last = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=tick,
    )
    for name, arguments in steps:
        node = graph.add(name, arguments)
        last.link_to(node)
        last = node
    sink = graph.add("buffersink")
    last.link_to(sink)
    graph.configure()
    return graph
