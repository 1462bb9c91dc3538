"""Impostors are named, and no file leads to another file or to the network."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pipeline import media
from pipeline.errors import MediaError


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"hello, I am not a video\n" * 40, "a text file, not media"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "a text file, not media"),
        (b"#EXTM3U\n\xc3\xa9\n#EXTINF:1,\nfile:///etc/passwd\n", "unreadable|truncated"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n\xff", "unreadable|truncated"),
        (bytes(range(256)) * 20, "unreadable|truncated"),
    ],
)
def test_impostors(tmp_path: Path, content: Any, reason: Any):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    for look in (media.probe, media.length):
        with pytest.raises(MediaError, match=reason):
            look(path)


def test_a_missing_file_and_a_name_that_looks_like_an_address(tmp_path: Path):
    with pytest.raises(MediaError, match="no such file"):
        media.probe(tmp_path / "nowhere.mp4")
    with pytest.raises(MediaError, match="no such file"):
        media.probe(Path("http://example.com/clip.mp4"))


def test_what_a_file_holds(maker: Any):
    path = maker.write("a: odd 'name'.mp4", [Fraction(i, 25) for i in range(5)])
    info = media.probe(path)
    assert (info.video.width, info.video.height, info.video.codec) == (96, 96, "h264")
    assert info.audio is None
    assert media.duration(info) == Fraction(1, 5)


def test_the_length_is_that_of_the_packets_not_of_the_header(shared_data: Path):
    path = shared_data / "bad" / "exoplayer__sample_fragmented.mp4"  # its header says 40 hours
    assert media.length(path) == Fraction(1001, 1000)


def test_pixels_that_are_not_square(shared_data: Path):
    video = media.probe(shared_data / "bad" / "mp4parse__h264_white_frame_sar_16_9.mp4").video
    assert (video.width, video.height, video.pixel_aspect) == (1138, 480, Fraction(16, 9))
