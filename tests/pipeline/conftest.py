"""Clips whose every frame carries its number, and real clips processed once for all tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.process import ClipResult, process_clip
from pipeline.profiles import Profile, load_profile
from pipeline.scan import scan

BITS = 10
TICK = Fraction(1, 90_000)
VISUAL = (
    *("video/rgb", "face/landmarks", "face/found", "face/mar", "pose/camera", "pose/error"),
    *("expression/semantic", "parsing/selfie"),
)


def numbered(number: int, width: int = 96, height: int = 96) -> np.ndarray:
    """A grey picture with its number in ten black or white bars, lowest bit left."""
    frame = np.full((height, width, 3), 128, np.uint8)
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        frame[height // 4 :, left:right] = 235 if number >> bit & 1 else 16
    frame[: height // 4, : width // 2] = 235  # a corner mark, so that turns can be seen
    return frame


@dataclass
class ClipMaker:
    """Writes files with exact display times and sound."""

    folder: Path

    def write(
        self,
        name: str,
        times: Sequence[Fraction],
        *,
        last: Fraction = Fraction(1, 25),
        sound: np.ndarray | None = None,
        sound_at: Fraction = Fraction(0),
        rate: int = 48_000,
        layout: str = "mono",
        size: tuple[int, int] = (96, 96),
        rotation: int = 0,
        codec: str = "libx264",
        interlaced: bool = False,
        picture: Callable[[int], np.ndarray] | None = None,
        sound_codec: str | None = None,
        tick: Fraction = TICK,
    ) -> Path:
        """A clip of numbered frames shown at `times` (seconds); the last one for `last` seconds.

        `picture` draws other frames than numbered ones.
        """
        path = self.folder / name
        with av.open(str(path), "w") as container:
            video = container.add_stream(codec, rate=25)
            assert isinstance(video, av.VideoStream)
            video.width, video.height = size
            video.pix_fmt = "yuv420p"
            video.codec_context.time_base = video.time_base = tick
            video.options = {"crf": "12", "bf": "2", "g": "12"} if codec == "libx264" else {}
            if interlaced:
                video.options |= {"x264-params": "tff=1"}
            if rotation:
                video.set_display_rotation(rotation)
            audio: Any = None  # the codec's name does not tell PyAV's types that it is sound
            if sound is not None:
                codec_of = "pcm_s16le" if path.suffix in (".mkv", ".mov", ".avi") else "aac"
                audio = container.add_stream(sound_codec or codec_of, rate=rate, layout=layout)
            length = round(last / tick)
            for number, time in enumerate(times):
                drawn = picture(number) if picture else numbered(number, *size)
                frame = av.VideoFrame.from_ndarray(drawn, format="rgb24")
                frame.pts, frame.time_base = round(time / tick), tick
                for packet in video.encode(frame):
                    packet.duration = packet.duration or length
                    container.mux(packet)
            for packet in video.encode(None):
                container.mux(packet)
            if audio is not None and sound is not None:
                data = np.atleast_2d(sound)
                for start in range(0, data.shape[1], 1024):
                    chunk = np.ascontiguousarray(data[:, start : start + 1024])
                    packed = np.ascontiguousarray(chunk.T.reshape(1, -1))
                    block = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
                    block.sample_rate, block.time_base = rate, Fraction(1, rate)
                    block.pts = round(sound_at * rate) + start
                    container.mux(audio.encode(block))
                container.mux(audio.encode(None))
        return path


def number_of(frame: np.ndarray) -> int:
    """Read a numbered frame back."""
    size = frame.shape[1]
    rows = frame[frame.shape[0] // 2 : -4]
    bars = [rows[:, (2 * b + 1) * size // (2 * BITS)].mean() > 128 for b in range(BITS)]
    return sum(int(lit) << bit for bit, lit in enumerate(bars))


@pytest.fixture
def maker(tmp_path: Path) -> ClipMaker:
    return ClipMaker(tmp_path)


@pytest.fixture(scope="session")
def read_number() -> Callable[[np.ndarray], int]:
    return number_of


@pytest.fixture(scope="session")
def profile() -> Profile:
    return load_profile("embedded")


@pytest.fixture(scope="session")
def processed(shared_data: Path, profile: Profile) -> Callable[..., ClipResult]:
    """A real clip's visual features and waveform, computed once."""

    @cache
    def process(name: str, end: int | None) -> ClipResult:
        source = scan(shared_data / "real" / name).clips[0]
        if end is not None:
            source = replace(source, start=Fraction(0), end=Fraction(end))
        return process_clip(source, (*VISUAL, "audio/waveform"), profile)

    return lambda name, end=None: process(name, end)
