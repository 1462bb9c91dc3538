"""The picture stream on the 25 fps grid, cropped to one square and scaled, in one decode.

A clip that fits the memory budget is decoded once: its frames wait, undeveloped (as the codec
left them), until the crop has been found from a few of them. A larger one is decoded twice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from jaxtyping import Float64, UInt8

from pipeline import clock, media
from pipeline.errors import ClockError, MediaError, ProfileError
from pipeline.geometry import Square
from pipeline.media_file import limited, opened, reading
from pipeline.media_graph import Deinterlacer, Developer, stored_bytes
from pipeline.shots import CutConfig, CutFinder, luma_of

_SAMPLE_SIDE = 640
"""Longest side of the pictures the crop is searched in, pixels."""
_DAMAGE_LIMIT = 0.05
"""Largest share of undecodable packets that still counts as a usable clip."""
_SHORTFALL_LIMIT = Fraction(1, 10)
"""Largest share of the announced length that may be missing before a clip counts as truncated."""
_FRAME_LIMIT = 15 * 60 * clock.FPS
"""Grid frames of one clip; what is longer is read in ranges (scan cuts at a minute)."""


@dataclass(frozen=True)
class VideoConfig:
    """How a clip is decoded."""

    samples: int = 16
    """Frames in which the face is searched."""
    memory: int = 768 * 2**20
    """Bytes of undeveloped frames held at most; a larger clip is decoded twice."""
    longest_gap: float = 2.0
    """Seconds a source frame may stand still; longer means that pictures are missing."""
    cuts: str = "reject"
    """A clip with a cut inside: `reject` it (scan with shots to split it) or `keep` it, flagged."""
    cut: CutConfig = field(default_factory=CutConfig)

    def __post_init__(self) -> None:
        """There are two ways to deal with a cut."""
        if self.cuts not in ("reject", "keep"):
            raise ProfileError(f"crop.video.cuts = {self.cuts!r}; use reject or keep")


Finder = Callable[[Sequence[UInt8[np.ndarray, "height width 3"]], tuple[int, int]], Square]
"""From sampled pictures and the displayed (width, height) to the square to cut out of it."""


@dataclass
class Video:
    """A clip's pictures and what was done to get them."""

    frames: UInt8[np.ndarray, "frames size size 3"]
    square: Square
    facts: dict[str, Any]


def read_video(
    info: media.MediaInfo,
    size: int,
    find: Finder,
    start: Fraction | None = None,
    end: Fraction | None = None,
    config: VideoConfig | None = None,
) -> Video:
    """Decode [start, end) of a file (seconds from its first frame) to `size`² RGB at 25 fps.

    Raises:
        MediaError: nothing or too little decodes, or the picture size changes on the way.
    """
    config = config or VideoConfig()
    origin = info.video.zero + (start or 0)
    stop = None if end is None else info.video.zero + end
    take = Take(info, origin, stop)
    shelf: list[av.VideoFrame] | None = []
    held = 0
    sampler = _Sampler(info, config.samples)
    cutter = CutFinder(config.cut)
    with reading(info.path):
        for frame in take.frames():
            sampler.see(frame)
            cutter.see(frame)
            if shelf is not None:
                held += stored_bytes(frame)
                shelf.append(frame)
                if held > config.memory:
                    shelf = None
        indices, facts = take.grid(config.longest_gap)
        facts["cuts_s"] = take.times_of(cutter.cuts())
        if facts["cuts_s"] and config.cuts == "reject":
            at = ", ".join(f"{t:.2f}" for t in facts["cuts_s"][:5])
            raise MediaError(
                f"{info.path.name}: {len(facts['cuts_s'])} cut(s) at {at} s: several shots in one "
                "clip; split them with --shots, or list the ranges in clips.csv"
            )
        square = find(sampler.pictures(), (info.video.width, info.video.height))
        rivals: tuple[Square, ...] = getattr(find, "mouths", ())
        if len(rivals) > 1:
            again = shelf if shelf is not None else Take(info, origin, stop).frames()
            moved = mouth_movement(again, rivals, info.video)
            square = find.choose(moved[:, indices]) or square  # type: ignore[attr-defined]
        developer = Developer(info.video, square, size)
        frames = np.empty((len(indices), size, size, 3), np.uint8)
        source = shelf if shelf is not None else Take(info, origin, stop).frames()
        wanted = iter(np.flatnonzero(np.diff(indices, prepend=-1)))
        at = next(wanted, None)
        for number, frame in enumerate(source):
            if at is None:
                break
            if number == indices[at]:
                after = next(wanted, None)
                frames[at:after] = developer.develop(frame)
                at = after
        if at is not None:
            raise MediaError(
                f"{info.path.name}: a second decode gave fewer frames than the first "
                f"({len(indices)} grid frames, {at} filled); the file changed while it was read"
            )
    return Video(frames, square, facts | {"decodes": 1 if shelf is not None else 2})


def mouth_movement(
    frames: Iterable[av.VideoFrame], mouths: Sequence[Square], info: media.VideoInfo
) -> Float64[np.ndarray, "mouths frames"]:
    """Mean change of the luma inside each square since the frame before, of every source frame.

    Rotated pictures are developed first; the others are read as the codec left them.
    """
    whole = max(info.width, info.height)
    developer = Developer(info, None, whole) if info.rotation or info.pixel_aspect != 1 else None
    before: list[np.ndarray] | None = None
    rows = []
    for frame in frames:
        luma = luma_of(frame) if developer is None else developer.develop(frame)[..., 1]
        now = [
            luma[m.y : m.y + m.side : 2, m.x : m.x + m.side : 2].astype(np.int16) for m in mouths
        ]
        before = before or now
        rows.append([float(np.abs(a - b).mean()) for a, b in zip(now, before, strict=True)])
        before = now
    return np.array(rows).T.reshape(len(mouths), -1)


def count_frames(
    info: media.MediaInfo, start: Fraction | None = None, end: Fraction | None = None
) -> int:
    """V of [start, end) of a file, without developing a picture.

    Raises:
        MediaError: as `read_video`.
    """
    origin = info.video.zero + (start or 0)
    stop = None if end is None else info.video.zero + end
    take = Take(info, origin, stop)
    for _ in take.frames():
        pass
    return len(take.grid()[0])


def find_cuts(path: Path, config: CutConfig | None = None) -> list[Fraction]:
    """Seconds from a file's first frame at which a new shot begins. Decodes the whole file once.

    Raises:
        MediaError: nothing decodes.
    """
    info = media.probe(path)
    take, cutter = Take(info, info.video.zero, None), CutFinder(config)
    with reading(path):
        for frame in take.frames():
            cutter.see(frame)
    tick = info.video.time_base
    return [take.starts[number] * tick - info.video.zero for number in cutter.cuts()]


@dataclass
class Take:
    """One pass over the frames of a range, in display order, with book-keeping."""

    info: media.MediaInfo
    origin: Fraction
    stop: Fraction | None
    starts: list[int] = field(default_factory=list)
    last_length: int = 0
    packets: int = 0
    damaged: int = 0
    corrupt: int = 0
    out_of_order: int = 0
    cut_off: str = ""

    def frames(self) -> Iterator[av.VideoFrame]:
        """Frames shown within the range: the one on display at its start, and all that follow."""
        with opened(self.info.path) as container:
            stream = container.streams[self.info.video.index]
            if not isinstance(stream, av.VideoStream) or stream.codec_context is None:
                raise MediaError(f"{self.info.path.name}: the file changed while it was read")
            limited(stream)
            sought = self._seek(container, stream)
            before: av.VideoFrame | None = None
            for frame in self._ordered(container, stream):
                shown = (frame.pts or 0) * self.info.video.time_base
                if self.stop is not None and shown >= self.stop:
                    break
                if shown <= self.origin:
                    before = frame
                    continue
                if before is not None:
                    yield self._noted(before)
                    before = None
                elif sought and not self.starts:
                    raise MediaError(
                        f"{self.info.path.name}: seeking to {float(self.origin):.3f} s landed at "
                        f"{float(shown):.3f} s; the file's index is wrong, remux it"
                    )
                yield self._noted(frame)
            if before is not None:
                yield self._noted(before)

    def times_of(self, numbers: Sequence[int]) -> list[float]:
        """Seconds from the clip's start at which frames of this pass are shown."""
        tick = self.info.video.time_base
        return [media.seconds(self.starts[n] * tick - self.origin) for n in numbers]

    def grid(self, longest_gap: float | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Which frame each grid frame shows, and what happened on the way."""
        info, tick = self.info, self.info.video.time_base
        name = info.path.name
        if not self.starts:
            raise MediaError(f"{name}: no video frame decodes in the range")
        if self.damaged > _DAMAGE_LIMIT * self.packets:
            raise MediaError(
                f"{name}: {self.damaged} of {self.packets} video packets do not decode; "
                f"at most {_DAMAGE_LIMIT:.0%} may be damaged"
            )
        starts = np.array(self.starts, np.int64)
        gaps = np.diff(starts)
        typical = int(np.median(gaps)) if len(gaps) else 0
        last = self.last_length if 0 < self.last_length * tick <= 1 else 0
        last = last or typical or round(Fraction(1, clock.FPS) / tick) or 1
        end = (int(starts[-1]) + last) * tick
        self._refuse_truncated(end)
        if self.stop is not None:
            end = min(end, self.stop)
        if clock.frame_count(end - self.origin) > _FRAME_LIMIT:
            raise MediaError(
                f"{name}: {float(end - self.origin):.0f} s in one clip; at most "
                f"{_FRAME_LIMIT // clock.FPS} s are read, give ranges"
            )
        still = float(gaps.max() * tick) if len(gaps) else 0.0
        if longest_gap is not None and still > longest_gap:
            at = float(starts[int(gaps.argmax())] * tick - self.origin)
            raise MediaError(
                f"{name}: no new picture for {still:.2f} s at {at:.2f} s; "
                f"at most {longest_gap} s may be missing"
            )
        try:
            indices = clock.displayed(starts, tick, self.origin, end)
        except ClockError as error:
            raise MediaError(f"{name}: {error}") from error
        rate = 1 / (float(np.mean(gaps)) * float(tick)) if len(gaps) else None
        shown = np.unique(indices)
        return indices, {
            "source_frames": len(starts),
            "source_fps": None if rate is None else round(rate, 3),
            "variable_rate": bool(len(gaps) and gaps.max() - gaps.min() > 0.3 * typical),
            "longest_gap_s": round(still, 4),
            "missing_s": media.seconds(max(Fraction(0), self._promised(end) - end)),
            "tone_mapped": info.video.hdr,
            "colour_matrix": info.video.matrix,
            "source_frames_unseen": len(starts) - len(shown),
            "grid_frames_repeated": len(indices) - len(shown),
            "rotation": info.video.rotation,
            "pixel_aspect": float(info.video.pixel_aspect),
            "deinterlaced": info.video.interlaced,
            "damaged_packets": self.damaged,
            "corrupt_frames": self.corrupt,
            "frames_out_of_order": self.out_of_order,
            "cut_off": self.cut_off,
        }

    def _promised(self, end: Fraction) -> Fraction:
        """When the picture should end: as the header and the range say, else as it does."""
        announced = self.info.video.announced
        promised = [self.info.video.zero + announced] if announced is not None else []
        promised += [self.stop] if self.stop is not None else []
        return min(promised, default=end)

    def _refuse_truncated(self, end: Fraction) -> None:
        asked, got = self._promised(end) - self.origin, end - self.origin
        if got < asked * (1 - _SHORTFALL_LIMIT):
            raise MediaError(
                f"{self.info.path.name}: truncated: {float(asked):.2f} s announced, "
                f"{float(max(got, Fraction(0))):.2f} s decode"
            )

    def _noted(self, frame: av.VideoFrame) -> av.VideoFrame:
        self.starts.append(frame.pts or 0)
        self.last_length = frame.duration or 0
        self.corrupt += bool(frame.is_corrupt)
        return frame

    def _ordered(
        self, container: InputContainer, stream: av.VideoStream
    ) -> Iterator[av.VideoFrame]:
        """Decoded frames with display times that increase; the others are counted and left out."""
        latest: int | None = None
        deinterlacer = Deinterlacer(self.info.video) if self.info.video.interlaced else None
        decoded = self._decoded(container, stream)
        for frame in deinterlacer.run(decoded) if deinterlacer else decoded:
            if frame.pts is None:
                if latest is None:
                    continue
                frame.pts = latest + (frame.duration or 1)
            if latest is not None and frame.pts <= latest:
                self.out_of_order += 1
                continue
            latest = frame.pts
            yield frame

    def _decoded(
        self, container: InputContainer, stream: av.VideoStream
    ) -> Iterator[av.VideoFrame]:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                self.cut_off = f"reading stopped: {error.strerror}"
                return
            if packet is None:
                return
            self.packets += 1
            try:
                frames = packet.decode()
            except FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                if isinstance(frame, av.VideoFrame):
                    yield frame

    def _seek(self, container: InputContainer, stream: av.VideoStream) -> bool:
        """Jump to the key frame before the range; False when reading from the top is as good."""
        if self.origin <= self.info.video.zero:
            return False
        try:
            container.seek(
                int(self.origin / self.info.video.time_base), stream=stream, backward=True
            )
        except FFmpegError:
            return False
        return True


class _Sampler:
    """Keeps about `count` evenly spaced small pictures of a stream of unknown length."""

    def __init__(self, info: media.MediaInfo, count: int) -> None:
        self._developer = Developer(info.video, None, _SAMPLE_SIDE)
        self._count = count
        self._every = 1
        self._seen = 0
        self._kept: list[tuple[int, np.ndarray]] = []

    def see(self, frame: av.VideoFrame) -> None:
        """Look at the next frame."""
        if self._seen % self._every == 0:
            self._kept.append((self._seen, self._developer.develop(frame)))
            if len(self._kept) >= 2 * self._count:
                self._every *= 2
                self._kept = [kept for kept in self._kept if kept[0] % self._every == 0]
        self._seen += 1

    def pictures(self) -> list[np.ndarray]:
        """The chosen pictures in order."""
        chosen = np.unique(np.linspace(0, len(self._kept) - 1, self._count).round().astype(int))
        return [self._kept[i][1] for i in chosen] if self._kept else []
