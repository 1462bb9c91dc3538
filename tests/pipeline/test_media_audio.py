"""Sound lies on the picture's clock to the sample, and gaps are said."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from pipeline import media
from pipeline.errors import MissingInput
from pipeline.media_audio import read_audio

FRAMES = 50
TIMES = [Fraction(i, 25) for i in range(FRAMES)]


def clicks(rate: int, seconds: float, at: list[float]) -> np.ndarray:
    """Silence with one full sample at each time."""
    sound = np.zeros(round(rate * seconds), np.float32)
    sound[[round(rate * time) for time in at]] = 0.9
    return sound


def heard(samples: np.ndarray) -> list[int]:
    """Where clicks are, as 16 kHz samples."""
    loud = np.flatnonzero(np.abs(samples) > 0.15)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > 50) + 1)
    return [int(group[np.argmax(np.abs(samples[group]))]) for group in groups]


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize(
    ("picture_at", "sound_at"),
    [(0, 0), (Fraction(1, 3), 0), (0, Fraction(37, 100)), (Fraction(3, 10), Fraction(7, 10))],
)
def test_clicks_are_where_the_picture_says(maker: Any, rate: Any, picture_at: Any, sound_at: Any):
    picture_at, sound_at = Fraction(picture_at), Fraction(sound_at)
    times = [0.5, 0.777, 1.1]
    path = maker.write(
        "clip.mov",
        [time + picture_at for time in TIMES],
        sound=clicks(rate, 2.0, times),
        sound_at=sound_at,
        rate=rate,
    )
    info = media.probe(path)
    audio = read_audio(info, FRAMES)
    shift = sound_at - info.video.zero
    expected = [round((time + float(shift)) * 16_000) for time in times]
    assert len(audio.samples) == 640 * FRAMES
    assert np.abs(np.subtract(heard(audio.samples), expected)).max() <= 1
    assert audio.facts["starts_late_s"] == pytest.approx(max(0, float(shift)), abs=1e-3)


def test_16_khz_mono_passes_bit_for_bit(maker: Any):
    noise = np.random.default_rng(1).integers(-20_000, 20_000, 32_000) / 32_768
    path = maker.write("clip.mov", TIMES, sound=noise.astype(np.float32), rate=16_000)
    assert np.array_equal(read_audio(media.probe(path), FRAMES).samples, noise.astype(np.float32))


@pytest.mark.parametrize("start", [Fraction(9, 25), Fraction(1), Fraction(33, 25)])
def test_a_range_is_a_slice_of_the_whole(maker: Any, start: Any):
    sound = np.random.default_rng(2).normal(0, 0.1, 96_000).astype(np.float32)
    info = media.probe(maker.write("clip.mov", TIMES, sound=sound))
    whole = read_audio(info, FRAMES).samples
    first = int(start * 16_000)
    part = read_audio(info, 10, start).samples
    assert np.abs(part - whole[first : first + 6400]).max() < 1e-3


def test_an_early_end_is_silence_and_said(maker: Any):
    path = maker.write("clip.mov", TIMES, sound=np.full(16_000, 0.5, np.float32), rate=16_000)
    audio = read_audio(media.probe(path), FRAMES)
    assert np.all(audio.samples[:16_000] == 0.5)
    assert np.all(audio.samples[16_000:] == 0)
    assert audio.facts["ends_early"]
    assert audio.facts["ends_early_s"] == pytest.approx(1.0)


def test_channels_are_mixed_without_amplification(maker: Any):
    left, right = np.full(32_000, 0.9, np.float32), np.full(32_000, 0.5, np.float32)
    path = maker.write(
        "clip.mov", TIMES, sound=np.stack([left, right]), rate=16_000, layout="stereo"
    )
    assert read_audio(media.probe(path), FRAMES).samples[9] == pytest.approx(0.7, abs=1e-3)


def test_speech_in_the_centre_of_five_channels_survives(maker: Any):
    sound = np.zeros((6, 32_000), np.float32)
    sound[2] = 0.9  # FL FR FC LFE BL BR
    sound[3] = 0.9  # the subwoofer has nothing to say
    path = maker.write("clip.mov", TIMES, sound=sound, rate=16_000, layout="5.1")
    audio = read_audio(media.probe(path), FRAMES)
    assert audio.samples[9] == pytest.approx(0.9 / (1 + 2 * 0.707 + 2 * 0.5), abs=1e-3)
    assert audio.facts["channels"] == 6


@pytest.mark.parametrize("suffix", [".mov", ".mp4"])  # PCM and AAC
def test_eight_channels_do_not_take_the_process_down(maker: Any, suffix: str):
    sound = np.zeros((8, 32_000), np.float32)
    sound[2] = 0.5 * np.sin(np.arange(32_000) / 9)
    path = maker.write(f"clip{suffix}", TIMES, sound=sound, rate=48_000, layout="7.1")
    audio = read_audio(media.probe(path), 15)
    assert audio.facts["channels"] == 8
    assert np.abs(audio.samples).max() == pytest.approx(0.5 / (1 + 2 * 0.707 + 4 * 0.5), rel=0.1)


def test_no_sound_digital_silence_and_sound_elsewhere_are_three_reasons(maker: Any):
    with pytest.raises(MissingInput, match="no audio stream"):
        read_audio(media.probe(maker.write("mute.mov", TIMES)), FRAMES)
    silent = maker.write("silent.mov", TIMES, sound=np.zeros(32_000, np.float32), rate=16_000)
    with pytest.raises(MissingInput, match=r"digitally silent \(peak 0"):
        read_audio(media.probe(silent), FRAMES)
    short = maker.write("short.mov", TIMES, sound=np.full(8000, 0.5, np.float32), rate=16_000)
    with pytest.raises(MissingInput, match=r"no sound in the clip's 0\.40 s"):
        read_audio(media.probe(short), 10, Fraction(1))
