"""One square per clip, inside the picture, round the main face."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import media
from pipeline.errors import RejectedClip
from pipeline.face.crop import CropConfig, CropFinder
from pipeline.geometry import fit_square
from pipeline.media_video import read_video


def cut(path: Any, **config: Any):
    finder = CropFinder(CropConfig(**config))
    video = read_video(media.probe(path), 256, finder)
    return video, finder.facts


@given(
    x=st.floats(-500, 5000),
    y=st.floats(-500, 5000),
    side=st.floats(2, 5000),
    width=st.integers(16, 4000),
    height=st.integers(16, 4000),
)
def test_a_fitted_square_is_inside_and_even(x: Any, y: Any, side: Any, width: Any, height: Any):
    square = fit_square((x, y), side, (width, height))
    assert 0 <= square.x <= square.x + square.side <= width
    assert 0 <= square.y <= square.y + square.side <= height
    assert square.x % 2 == square.y % 2 == square.side % 2 == 0


def test_sources_that_are_cropped_already_pass_through(shared_data: Path):
    path = shared_data / "real" / "mead" / "M030_front_happy_level3_001.mp4"
    video, facts = cut(path)
    assert facts["kept_whole"]
    assert facts["several_faces"] == 1
    whole = read_video(media.probe(path), 256, lambda *_: video.square)
    assert np.array_equal(video.frames, whole.frames)


@pytest.mark.parametrize(
    ("name", "face_of_side"),
    [
        ("ravdess/01-01-07-02-02-01-01_640x480.mp4", (0.42, 0.55)),
        ("grid/bbaf2n.mpg", (0.42, 0.55)),
        ("hdtf/video_retalking_face1.mp4", (0.42, 0.55)),
    ],
)
def test_wider_pictures_are_cut_so_that_the_head_fits(
    shared_data: Path, name: str, face_of_side: Any
):
    _, facts = cut(shared_data / "real" / name)
    low, high = face_of_side
    assert low < facts["face_side"] / facts["square"]["side"] < high
    assert facts["sampled_with_face"] == facts["sampled_frames"] == 16


def test_a_face_too_small_to_measure_is_refused_with_both_sizes(shared_data: Path):
    with pytest.raises(RejectedClip, match=r"too small: \d\d px wide in the source, at least 96"):
        cut(shared_data / "real" / "silent" / "s13.mp4")


def test_no_face_is_refused(maker: Any):
    from fractions import Fraction

    path = maker.write("grey.mp4", [Fraction(i, 25) for i in range(8)], size=(192, 192))
    with pytest.raises(RejectedClip, match="no face in any of 8 sampled frames"):
        cut(path)


def two_faces(left: Any, right: Any, gap: Any = 256):
    """Two clips side by side on grey, `gap` pixels wide each."""
    count = min(len(left), len(right))
    canvas = np.full((count, 256, 2 * gap + 64, 3), 90, np.uint8)
    canvas[:, :, :256] = left[:count]
    canvas[:, 64:192, gap + 64 : gap + 192] = right[:count, ::2, ::2]
    return canvas


def test_of_two_faces_the_larger_is_taken_and_the_other_said(shared_data: Path):
    folder = shared_data / "real" / "mead"
    clips = [
        read_video(
            media.probe(folder / f"{who}_front_neutral_level1_001.mp4"), 256, CropFinder()
        ).frames[::12]
        for who in ("M030", "W009")
    ]
    pictures = list(two_faces(*clips))
    finder = CropFinder()
    square = finder(pictures, (pictures[0].shape[1], pictures[0].shape[0]))
    assert finder.facts["several_faces"] == 2
    assert square.x + square.side / 2 < 256  # the large face is on the left
    mirrored = [np.ascontiguousarray(picture[:, ::-1]) for picture in pictures]
    square = finder(mirrored, (pictures[0].shape[1], pictures[0].shape[0]))
    assert square.x + square.side / 2 > 256
