"""Cuts are found, flashes and moves are not; shots become clips that meet exactly."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import media
from pipeline.errors import MediaError
from pipeline.geometry import Square
from pipeline.media_video import Take, VideoConfig, find_cuts, read_video
from pipeline.scan import scan
from pipeline.shots import CutConfig, CutFinder, cuts_in, tiny

NOISE = np.random.default_rng(0).integers(0, 255, (4, 6, 6, 3)).astype(np.uint8)


def scene(number: int, shift: int = 0) -> np.ndarray:
    """A blocky picture, the same each time; `shift` pans it."""
    picture = np.kron(NOISE[number], np.ones((16, 16, 1), np.uint8))
    return np.ascontiguousarray(np.roll(picture, shift, axis=1))


def whole(*_: Any) -> Square:
    return Square(0, 0, 96)


def times(count: int, fps: int = 25) -> list[Fraction]:
    return [Fraction(i, fps) for i in range(count)]


def test_a_cut_is_found_and_refused_with_its_time_and_the_cure(maker: Any):
    path = maker.write("two.mp4", times(60), picture=lambda n: scene(int(n >= 30)))
    assert find_cuts(path) == [Fraction(30, 25)]
    with pytest.raises(MediaError, match=r"1 cut\(s\) at 1\.20 s.*split them with --shots"):
        read_video(media.probe(path), 96, whole)
    kept = read_video(media.probe(path), 96, whole, config=VideoConfig(cuts="keep"))
    assert kept.facts["cuts_s"] == [1.2]


@pytest.mark.parametrize(
    "picture",
    [
        lambda n: np.full((96, 96, 3), 255, np.uint8) if n in (20, 21) else scene(0),  # a flash
        lambda n: scene(0, shift=n),  # a pan
        lambda n: (scene(0) * (1 - n / 50) + scene(1) * (n / 50)).astype(np.uint8),  # a dissolve
        lambda n: (scene(0) * (0.4 if n < 25 else 1)).astype(np.uint8) // 2 + 60 * (n >= 25),
    ],
    ids=["flash", "pan", "dissolve", "lamp"],
)
def test_what_is_no_cut(maker: Any, picture: Any):
    path = maker.write("one.mp4", times(50), picture=lambda n: picture(n).astype(np.uint8))
    assert find_cuts(path, CutConfig(change=14.0)) == []


def test_shots_become_clips_that_meet_and_hold_no_foreign_frame(maker: Any):
    path = maker.write(
        "three.mp4",
        times(120, 30),
        last=Fraction(1, 30),
        picture=lambda n: scene(0 if n < 41 else 1 if n < 85 else 2),
    )
    clips = scan(path, shots=True).clips
    assert [clip.start for clip in clips] == [None, Fraction(41, 30), Fraction(85, 30)]
    assert [clip.end for clip in clips] == [Fraction(41, 30), Fraction(85, 30), None]
    assert len({clip.content for clip in clips}) == 3
    for number, clip in enumerate(clips):
        video = read_video(media.probe(path), 96, whole, clip.start, clip.end)
        off = np.abs(video.frames.astype(int) - scene(number)).mean(axis=(1, 2, 3))
        assert off.max() < 12  # every frame is of this shot
        assert video.facts["cuts_s"] == []


def test_a_shot_too_short_is_left_out_with_the_reason(maker: Any):
    path = maker.write("short.mp4", times(70), picture=lambda n: scene(int(n >= 12)))
    found = scan(path, shots=True)
    assert [clip.start for clip in found.clips] == [Fraction(12, 25)]
    assert [why for _, why in found.rejected] == [
        "a shot of 0.48 s at 0.00 s; at least 1 s make a clip"
    ]
    assert len(scan(path).clips) == 1  # without shots: the file is one clip


def test_memory_of_the_finder_does_not_grow_and_blocks_do_not_matter(monkeypatch: Any):
    rng = np.random.default_rng(1)
    scenes = rng.integers(0, 255, (12, 16, 16)).astype(np.uint8)
    pictures = [scenes[k // 90] for k in range(1000)]
    expected = cuts_in(np.stack(pictures), CutConfig()).tolist()
    monkeypatch.setattr("pipeline.shots._BLOCK", 64)
    finder = CutFinder()
    for picture in pictures:
        finder.add(picture)
        assert len(finder._tiny) < 64
    assert finder.cuts() == expected == list(range(90, 1000, 90))


def test_real_clips_have_no_cut_and_joined_ones_have_one(shared_data: Path):
    kept = {}
    for name in ("mead/M030_front_sad_level3_001", "mead/W009_front_sad_level3_001", "silent/d0"):
        info = media.probe(shared_data / "real" / f"{name}.mp4")
        kept[name] = np.stack([tiny(f) for f in Take(info, info.video.zero, None).frames()])
        assert len(cuts_in(kept[name], CutConfig())) == 0
    for one in kept:
        for other in kept:
            if one != other:
                joined = np.concatenate([kept[one][10:40], kept[other][:30]])
                assert cuts_in(joined, CutConfig()).tolist() == [30]
