"""Pictures reach the grid frame by frame: proven with clips that carry their frame numbers."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import clock, media
from pipeline.errors import MediaError
from pipeline.geometry import Square
from pipeline.media_video import Video, VideoConfig, count_frames, read_video


def whole(pictures: Any, picture: Any):
    side = min(picture) // 2 * 2
    return Square(0, 0, side)


def read(path: Any, start: Any = None, end: Any = None, **config: Any) -> Video:
    info = media.probe(path)
    return read_video(info, 96, whole, start, end, VideoConfig(**config))


@pytest.mark.parametrize("rate", ["15", "24000/1001", "25", "30000/1001", "30", "50", "60", "120"])
def test_each_grid_frame_shows_the_source_frame_on_display_at_its_centre(
    maker: Any, read_number: Any, rate: Any
):
    fps = Fraction(rate)
    times = [i / fps for i in range(round(2 * fps))]
    video = read(maker.write("clip.mp4", times, last=1 / fps))
    expected = [
        int(clock.frame_centre(i) * fps) for i in range(clock.frame_count(len(times) / fps))
    ]
    assert [read_number(f) for f in video.frames] == expected
    assert video.facts["source_frames"] == len(times)
    assert not video.facts["variable_rate"]


def test_25_fps_passes_one_to_one_from_a_container_of_milliseconds(maker: Any, read_number: Any):
    video = read(maker.write("clip.mkv", [Fraction(i, 25) for i in range(77)]))
    assert [read_number(f) for f in video.frames] == list(range(77))
    assert video.facts["source_frames_unseen"] == video.facts["grid_frames_repeated"] == 0


def test_variable_rate_with_a_late_first_frame(maker: Any, read_number: Any):
    steps = [0, 33, 67, 100, 167, 200, 233, 400, 433, 500, 567, 600]
    times = [Fraction(ms + 250, 1000) for ms in steps]
    video = read(maker.write("clip.mp4", times, last=Fraction(67, 1000)))
    centres = [clock.frame_centre(i) * 1000 for i in range(len(video.frames))]
    expected = [max(k for k, ms in enumerate(steps) if ms <= c) for c in centres]
    assert [read_number(f) for f in video.frames] == expected
    assert video.facts["variable_rate"]
    assert video.facts["longest_gap_s"] == pytest.approx(0.167, abs=1e-3)


def test_ranges_meet_without_overlap_or_gap(maker: Any, read_number: Any):
    times = [i / Fraction(30) for i in range(120)]
    path = maker.write("clip.mp4", times, last=Fraction(1, 30))
    numbers = [read_number(f) for f in read(path).frames]
    parts = []
    cuts = [None, Fraction(30, 25), Fraction(61, 25), None]
    for start, end in pairwise(cuts):
        part = read(path, start, end)
        assert count_frames(media.probe(path), start, end) == len(part.frames)
        parts += [read_number(f) for f in part.frames]
    assert parts == numbers
    assert len(numbers) == 100


def test_two_decodes_give_what_one_gives(maker: Any):
    path = maker.write("clip.mp4", [i / Fraction(30) for i in range(45)])
    once, twice = read(path), read(path, memory=50_000)
    assert (once.facts["decodes"], twice.facts["decodes"]) == (1, 2)
    assert np.array_equal(once.frames, twice.frames)


@pytest.mark.parametrize(("rotation", "corner"), [(0, (0, 0)), (90, (1, 0)), (180, (1, 1))])
def test_rotation_is_applied(maker: Any, rotation: Any, corner: Any):
    path = maker.write("clip.mp4", [Fraction(i, 25) for i in range(3)], rotation=rotation)
    frame = read(path).frames[0].astype(int)
    assert media.probe(path).video.rotation == rotation % 360
    half = [[frame[y : y + 12, x : x + 12].mean() for x in (6, 78)] for y in (6, 78)]
    # frame 0 is all dark bars below a strip that is bright on its left half only
    assert np.unravel_index(np.argmax(half), (2, 2)) == corner


def test_270_degrees_turn_the_other_way(maker: Any):
    path = maker.write("clip.mp4", [Fraction(0)], rotation=-90)
    frame = read(path).frames[0].astype(int)
    assert frame[6:18, 78:90].mean() > 200
    assert frame[78:90, 6:18].mean() < 60


def test_odd_sizes_and_crops_keep_their_place(maker: Any):
    path = maker.write("clip.mp4", [Fraction(i, 25) for i in range(2)], size=(130, 98))
    info = media.probe(path)
    corner = read_video(info, 64, lambda *_: Square(0, 0, 24)).frames[0]
    assert corner.mean() > 225  # the bright strip alone
    right = read_video(info, 64, lambda *_: Square(106, 0, 24)).frames[0]
    assert abs(right.mean() - 128) < 6


def test_interlaced_frames_are_deinterlaced_and_keep_their_times(maker: Any, read_number: Any):
    path = maker.write("clip.mp4", [Fraction(i, 25) for i in range(12)], interlaced=True)
    video = read(path)
    assert video.facts["deinterlaced"]
    assert [read_number(f) for f in video.frames] == list(range(12))


def test_a_truncated_file_is_refused_with_both_lengths(maker: Any):
    path = maker.write("clip.mkv", [Fraction(i, 25) for i in range(100)])
    cut = path.with_name("cut.mkv")
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match=r"truncated: 4\.00 s announced, [12]\.\d\d s decode"):
        read(cut)


def test_damaged_packets_are_counted_and_many_of_them_refused(maker: Any):
    path = maker.write("clip.mkv", [Fraction(i, 25) for i in range(100)])
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(0)
    for at in noise.integers(2000, len(data), 400):
        data[at] ^= 0xFF
    bad = path.with_name("bad.mkv")
    bad.write_bytes(data)
    try:
        facts = read(bad).facts
    except MediaError:
        return
    assert facts["damaged_packets"] + facts["corrupt_frames"] > 0


def test_a_picture_that_changes_its_size_is_refused(maker: Any, tmp_path: Path):
    raw = b"".join(
        maker.write(f"{n}.ts", [n + Fraction(i, 25) for i in range(9)], size=size).read_bytes()
        for n, size in enumerate([(96, 96), (128, 128)])
    )
    path = tmp_path / "both.ts"
    path.write_bytes(raw)
    with pytest.raises(MediaError, match="the picture changes from"):
        read(path)


def test_a_raw_stream_without_times_is_refused(maker: Any):
    with pytest.raises(MediaError, match="no display times"):
        read(maker.write("raw.h264", [Fraction(i, 25) for i in range(9)]))
