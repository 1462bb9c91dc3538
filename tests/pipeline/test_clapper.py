"""A clapper: one white frame and one click at the same moment stay together in every container."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from pipeline import media
from pipeline.geometry import Square
from pipeline.media_audio import read_audio
from pipeline.media_video import VideoConfig, read_video

HALF_FRAME = Fraction(1, 50)
RATE = 48_000


def clap(maker: Any, name: str, times: Any, clap_at: int, late: Any, **written: Any):
    """Seconds from flash to click after preprocessing, as the grid has them."""
    late = Fraction(late)
    sound = np.zeros(round(RATE * float(times[-1] - times[0] + 2)), np.float32)
    # the click sounds while the white frame appears, whenever the sound track itself begins
    click = round((times[clap_at] - late) * RATE)
    sound[click : click + 24] = 0.9 * np.sign(np.sin(np.arange(24)))
    path = maker.write(
        name,
        times,
        last=times[-1] - times[-2],
        sound=sound,
        sound_at=late,
        rate=RATE,
        # white for at least a grid frame, so that one of them shows it
        picture=lambda n: np.full(
            (64, 64, 3), 255 if 0 <= times[n] - times[clap_at] < Fraction(1, 25) else 16, np.uint8
        ),
        size=(64, 64),
        **written,
    )
    info = media.probe(path)
    video = read_video(info, 64, lambda *_: Square(0, 0, 64), config=VideoConfig(cuts="keep"))
    audio = read_audio(info, len(video.frames))
    lit = np.flatnonzero(video.frames.mean(axis=(1, 2, 3)) > 128)
    assert len(lit) >= 1
    loud = int(np.argmax(np.abs(audio.samples)))
    return Fraction(int(lit[0]), 25), Fraction(loud, 16_000)


def steady(rate: Any, start: Any = 0) -> list[Fraction]:
    fps = Fraction(rate)
    return [Fraction(start) + i / fps for i in range(round(fps * Fraction(8, 5)))]


@pytest.mark.parametrize("rate", ["15", "24000/1001", "25", "30000/1001", "50", "60", "120"])
@pytest.mark.parametrize("late", [Fraction(-3, 10), 0, Fraction(37, 100)])
def test_flash_and_click_at_every_frame_rate(maker: Any, rate: Any, late: Any):
    start = max(Fraction(0), -Fraction(late))  # a sound that is early begins before the picture
    times = steady(rate, start)
    # one in the grid's own frames: 25 of them may pass between two of 15 a second
    flash, click = clap(maker, "c.mov", times, len(times) // 2, late=start + Fraction(late))
    assert abs(flash - click) <= HALF_FRAME


CONTAINERS: dict[str, dict[str, Any]] = {
    "c.mp4": {},
    "c.mkv": {},
    "flac.mkv": {"sound_codec": "flac"},
    "aac.mkv": {"sound_codec": "aac"},
    "c.avi": {"codec": "mpeg4", "tick": Fraction(1, 25)},  # B-frames have no times in AVI
    "c.ts": {},
    "c.flv": {},
    "c.webm": {"codec": "libvpx-vp9", "sound_codec": "libopus"},
    "c.mpg": {"codec": "mpeg1video", "sound_codec": "mp2", "tick": Fraction(1, 25)},
}


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize(("start", "late"), [(0, 0), (Fraction(1, 5), 0), (0, Fraction(3, 10))])
def test_flash_and_click_in_every_container(maker: Any, name: str, start: Any, late: Any):
    if name == "c.avi" and (start or late):
        pytest.skip("AVI has no time stamps: both its streams begin together")
    flash, click = clap(maker, name, steady(25, start), 20, late, **CONTAINERS[name])
    assert abs(flash - click) <= HALF_FRAME


def test_flash_and_click_at_a_variable_rate(maker: Any):
    steps = np.cumsum(np.random.default_rng(3).choice([17, 33, 50, 67, 100], 40))
    times = [Fraction(int(ms), 1000) for ms in steps]
    for at in (5, 17, 31):
        flash, click = clap(maker, f"{at}.mp4", times, at, 0)
        assert abs(flash - click) <= HALF_FRAME


def test_a_range_keeps_them_together(maker: Any):
    times = steady(30)
    fps_at = 30
    path_times = (Fraction(2, 5), Fraction(7, 15))
    clap(maker, "c.mov", times, fps_at, Fraction(1, 10))
    info = media.probe(maker.folder / "c.mov")
    for start in path_times:
        video = read_video(
            info, 64, lambda *_: Square(0, 0, 64), start, config=VideoConfig(cuts="keep")
        )
        audio = read_audio(info, len(video.frames), start)
        lit = int(np.argmax(video.frames.mean(axis=(1, 2, 3))))
        loud = int(np.argmax(np.abs(audio.samples)))
        assert abs(Fraction(lit, 25) - Fraction(loud, 16_000)) <= HALF_FRAME
