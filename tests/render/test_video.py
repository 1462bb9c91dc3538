"""Video out: every frame in order, sound of the same length, nothing left by failures."""

from pathlib import Path

import av
import numpy as np
import pytest

from render.errors import VideoError
from render.video import VideoWriter


def grey(value: int, size: int = 32) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def test_frames_and_sound_arrive_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    t = np.arange(20 * 640) / 16_000
    sound = (8000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16)
    with VideoWriter(path, 32, sound) as video:
        for i in range(20):
            video.write(grey(10 * i + 20))
    with av.open(path) as file:
        stream = file.streams.video[0]
        assert stream.average_rate == 25
        assert stream.codec_context.name == "h264"
        assert file.streams.audio[0].codec_context.name == "aac"
        values = [f.to_ndarray(format="rgb24").mean() for f in file.decode(stream)]
    np.testing.assert_allclose(values, 10 * np.arange(20) + 20, atol=3)
    with av.open(path) as file:
        pieces = [f.to_ndarray() for f in file.decode(file.streams.audio[0])]
    assert sum(p.shape[1] for p in pieces) >= len(sound)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4"]


def test_a_video_without_sound(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 16) as video:
        video.write(grey(100, 16))
    with av.open(tmp_path / "out.mp4") as file:
        assert len(list(file.decode(video=0))) == 1
        assert not file.streams.audio


def test_wrong_frames_and_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="even size"):
        VideoWriter(tmp_path / "odd.mp4", 33)

    def other_size() -> None:
        with VideoWriter(tmp_path / "out.mp4", 32) as video:
            video.write(grey(1))
            video.write(grey(1, 16))

    with pytest.raises(VideoError, match=r"frame 1 is \(16, 16, 3\)"):
        other_size()
    assert list(tmp_path.iterdir()) == []


def test_sound_of_another_length_is_refused(tmp_path: Path) -> None:
    def half_the_sound() -> None:
        with VideoWriter(tmp_path / "out.mp4", 32, np.zeros(640, np.int16)) as video:
            video.write(grey(1))
            video.write(grey(2))

    with pytest.raises(VideoError, match="2 frames need 1280 samples of sound, got 640"):
        half_the_sound()
    assert list(tmp_path.iterdir()) == []
