"""Pairs of videos that do not fit: every number there can be, a reason for every other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import MediaError
from pipeline.weights import Shelf
from render.errors import MetricError
from render.metrics.alone import LEAST_EYES, measure_one
from render.metrics.catalogue import CATALOGUE
from render.metrics.judges import Judges
from render.metrics.landmark_error import EYE_CORNERS_68, IBUG
from render.metrics.pair import PairOptions, PairScore, score_pair, smaller
from render.metrics.watching import watch
from render.video import VideoWriter


def video(path: Path, frames: int, size: int = 64, *, sound: bool = False, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    wave = (rng.normal(0, 3000, frames * 640)).astype(np.int16) if sound else None
    ground = rng.integers(0, 255, (4, 4, 3)).repeat(size // 4, 0).repeat(size // 4, 1)
    with VideoWriter(path, size, wave) as out:
        for i in range(frames):
            out.write(np.clip(ground + i, 0, 255).astype(np.uint8))
    return path


@pytest.fixture
def judges(tmp_path: Path) -> Judges:
    return Judges(Shelf(tmp_path / "empty"), tmp_path / "no-openface")


def whole(score: PairScore) -> bool:
    """Every metric but those of sets has its cell."""
    return set(score.generated) == {k for k, m in CATALOGUE.items() if m.of != "set"}


def test_a_video_against_itself(tmp_path: Path, judges: Judges) -> None:
    path = video(tmp_path / "a.mp4", 6, sound=True)
    score = score_pair(path, path, judges=judges, emotion="happy")
    assert whole(score)
    assert score.generated["psnr"].value == 120  # the floor of 1e-12
    assert score.generated["ssim"].value == 1
    assert score.generated["psnr"].count == 6
    reasons = {key: cell.why_not for key, cell in score.generated.items()}
    assert reasons["m_lmd"] == "no face in both videos in any of 6 frames"
    assert reasons["identity"] == "no face in any of 6 frames"
    assert reasons["jitter"] == "no three consecutive frames with a face among 6"
    assert "0 frames with a face; 200 are needed" in reasons["av_lag"]
    assert "weights add alexnet" in reasons["lpips"]
    assert "is no program" in reasons["aue"]
    assert "no hyperplanes were given" in reasons["hyperplane"]


def test_other_lengths_are_said_and_trimmed_when_asked(tmp_path: Path, judges: Judges) -> None:
    a, b = video(tmp_path / "a.mp4", 8), video(tmp_path / "b.mp4", 5)
    score = score_pair(a, b, judges=judges)
    assert whole(score)
    why = score.generated["psnr"].why_not
    assert why == "8 frames against 5 of the reference; --trim compares the first 5"
    assert "no sound" in score.generated["av_lag"].why_not
    cut = score_pair(a, b, judges=judges, options=PairOptions(trim=True))
    assert cut.generated["psnr"].count == 5
    assert cut.facts["trimmed"] is True


def test_other_sizes_are_said_and_scaled_when_asked(tmp_path: Path, judges: Judges) -> None:
    a, b = video(tmp_path / "a.mp4", 4, 128), video(tmp_path / "b.mp4", 4, 64)
    why = score_pair(a, b, judges=judges).generated["ssim"].why_not
    assert why.startswith("128x128 px against 64x64 of the reference; --resize")
    scaled = score_pair(a, b, judges=judges, options=PairOptions(resize=True))
    value = scaled.generated["psnr"].value
    assert value is not None
    assert value > 25  # the same blocks at twice the size
    assert scaled.facts["resized"] is True


def test_one_frame_and_no_reference(tmp_path: Path, judges: Judges) -> None:
    path = video(tmp_path / "a.mp4", 1)
    assert score_pair(path, path, judges=judges).generated["psnr"].count == 1
    alone = score_pair(path, judges=judges)
    assert whole(alone)
    assert alone.reference == {}
    assert alone.generated["psnr"].why_not == "no reference video was given"


def test_what_is_no_video(tmp_path: Path, judges: Judges) -> None:
    text = tmp_path / "a.mp4"
    text.write_text("not a video")
    for path in (text, tmp_path / "nowhere.mp4"):
        with pytest.raises(MediaError, match=path.name):
            score_pair(path, judges=judges)


def blocks(path: Path, size: int, block: int) -> Path:
    """Black and white squares of `block` pixels."""
    rows = (np.arange(size) // block)[:, None] + (np.arange(size) // block)[None]
    picture = np.repeat((255 * (rows % 2)).astype(np.uint8)[..., None], 3, axis=2)
    with VideoWriter(path, size) as out:
        for _ in range(4):
            out.write(picture)
    return path


def test_the_true_video_is_also_judged_at_the_size_of_the_generated(
    tmp_path: Path, judges: Judges
) -> None:
    true = blocks(tmp_path / "true.mp4", 128, 2)
    grey = tmp_path / "grey.mp4"
    with VideoWriter(grey, 128) as out:
        for _ in range(4):
            out.write(np.full((128, 128, 3), 128, np.uint8))
    asked = PairOptions(drawn=32)
    score = score_pair(grey, true, judges=judges, options=asked)
    assert score.drawn == (32, 32)
    assert set(score.reduced) == set(score.generated)
    # Squares of two pixels are one grey at a quarter of the side: MSE 1/4, 6.02 dB. No video drawn
    # so small gets more, and the grey one gets it. (Coding moves black and white a little.)
    assert score.reduced["psnr"].value == pytest.approx(10 * np.log10(4), abs=0.3)
    assert score.generated["psnr"].value == pytest.approx(score.reduced["psnr"].value, abs=0.05)
    assert "OpenFace" in score.reduced["aue"].why_not or "program" in score.reduced["aue"].why_not
    # A small file is one that was drawn small, and needs no word.
    small = blocks(tmp_path / "small.mp4", 64, 2)
    native = score_pair(small, true, judges=judges)
    assert native.drawn == (64, 64)
    assert native.reduced["psnr"].why_not.startswith("64x64 px against 128x128 of the reference")
    for drawn in (None, 128):
        alike = score_pair(grey, true, judges=judges, options=PairOptions(drawn=drawn))
        assert (alike.reduced, alike.drawn) == ({}, None)
    with pytest.raises(MetricError, match="128 px wide and cannot have been drawn 256 px wide"):
        score_pair(grey, true, judges=judges, options=PairOptions(drawn=256))


def test_only_a_video_of_the_same_shape_is_a_size(tmp_path: Path) -> None:
    true = watch(video(tmp_path / "a.mp4", 1))
    assert smaller(replace(true, drawn=(32, 32)), true)
    assert not smaller(replace(true, drawn=(32, 16)), true)
    assert not smaller(replace(true, drawn=(64, 64)), true)
    assert not smaller(true, replace(true, frames=true.frames, drawn=(32, 32)))


def test_a_face_too_small_for_hyperplanes_is_named(tmp_path: Path, judges: Judges) -> None:
    seen = watch(video(tmp_path / "a.mp4", 3))
    points = np.full((3, 478, 3), 1.0, np.float32)
    _, right = IBUG[list(EYE_CORNERS_68)]
    points[:, right, 0] = 1 + LEAST_EYES + 1  # by hand: a pixel more than needed

    def note(drawn: tuple[int, int], found: np.ndarray) -> str:
        looked_at = replace(seen, landmarks=found, drawn=drawn)
        cell = measure_one(looked_at, judges, "sad", lambda *_: np.ones(3))["hyperplane"]
        assert cell.value == 100
        return cell.note

    assert note((64, 64), points) == ""
    assert "too small" in note((32, 32), points)  # half of them, before it was enlarged
    points[:, right, 0] -= 2
    assert "too small" in note((64, 64), points)
