"""Of two faces of one size the one whose mouth moves with the sound is taken."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import media
from pipeline.face.crop import CropConfig, CropFinder
from pipeline.face.speaker import mouth_square, speaking
from pipeline.media_audio import read_audio
from pipeline.media_video import VideoConfig, read_video

SECONDS = 8


def talk(seed: int, frames: int = 250) -> tuple[np.ndarray, np.ndarray]:
    """Movement of a mouth and the sound it makes."""
    rng = np.random.default_rng(seed)
    on = np.repeat(rng.random(frames // 10) > 0.5, 10)
    sound = np.repeat(on, 640) * rng.normal(0, 0.1, frames * 640)
    return on * rng.random(frames) + 0.1 * rng.random(frames), sound.astype(np.float32)


def test_the_mouth_that_moves_with_the_sound_speaks():
    first, sound = talk(0)
    second, other = talk(1)
    faces = np.stack([first, second])
    assert speaking(faces, sound, 0.15).index == 0
    assert speaking(faces, other, 0.15).index == 1
    assert speaking(np.stack([second, second]), sound, 0.15).index is None
    assert speaking(faces * 0, sound, 0.15).index is None


def test_a_mouth_lies_below_the_middle_and_inside_the_picture():
    square = mouth_square(np.array([100.0, 100.0, 100.0]), (640, 480))
    assert (square.x + square.side / 2, square.y + square.side / 2) == pytest.approx(
        (100, 128), abs=2
    )
    edge = mouth_square(np.array([639.0, 479.0, 100.0]), (640, 480))
    assert edge.x + edge.side <= 640
    assert edge.y + edge.side <= 480


@pytest.fixture(scope="module")
def pair(shared_data: Path):
    """Two people talking side by side, and the sound of each."""
    parts = []
    for name in ("obama/Obama_clip2.mkv", "hdtf/edtalk_uncrop_Obama.mp4"):
        info = media.probe(shared_data / "real" / name)
        video = read_video(info, 256, CropFinder(), Fraction(0), Fraction(SECONDS))
        parts.append((video.frames, read_audio(info, len(video.frames)).samples))
    return parts


@pytest.mark.parametrize("speaker", [0, 1])
def test_two_real_people_and_the_voice_of_one(pair: Any, maker: Any, speaker: int):
    (left, _), (right, _) = pair
    count = min(len(left), len(right))
    path = maker.write(
        "pair.mkv",
        [Fraction(i, 25) for i in range(count)],
        size=(512, 256),
        picture=lambda n: np.concatenate([left[n], right[n]], axis=1),
        sound=pair[speaker][1],
        rate=16_000,
    )
    info = media.probe(path)
    config = replace(CropConfig(), keep_from=2.0)
    keep = VideoConfig(cuts="keep")
    finder = CropFinder(config, lambda frames: read_audio(info, frames).samples)
    square = read_video(info, 256, finder, config=keep).square
    assert (square.x + square.side / 2 > 256) == bool(speaker)
    assert finder.facts["several_faces"] == 2
    mute = CropFinder(config, lambda frames: None)
    read_video(info, 256, mute, config=keep)
    assert mute.facts["chosen"] == "the main one, no sound to tell"
