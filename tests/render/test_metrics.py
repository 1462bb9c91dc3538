"""Metrics against figures by hand, and against second implementations where there are some."""

import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio as second_psnr
from torchmetrics.functional.image import structural_similarity_index_measure as second_ssim

from pipeline.face.indices import RIGID
from pipeline.face.template import template
from pipeline.weights import Shelf
from render.errors import MetricError
from render.metrics import psnr
from render.metrics.action_units import (
    LOWER,
    UNITS,
    action_unit_error,
    action_units,
    openface,
    read_table,
)
from render.metrics.catalogue import CATALOGUE, ONE
from render.metrics.face_shape import canonical_shape, likeness, mean_shape
from render.metrics.frechet import frechet_distance
from render.metrics.intervals import crossed_interval, mean_interval
from render.metrics.judges import Judges
from render.metrics.landmark_error import (
    EYE_CORNERS_68,
    IBUG,
    eye_distance,
    frame_distances,
    landmark_distance,
)
from render.metrics.measured import Measured, not_measured
from render.metrics.motion import jitter
from render.metrics.pictures import whole_ssim


def pictures(shape: tuple[int, int] = (40, 48)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    a = rng.random((*shape, 3)).astype(np.float32)
    return a, np.clip(a + rng.normal(0, 0.1, a.shape), 0, 1).astype(np.float32)


def as_torch(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].double()


def test_psnr_by_hand_and_as_torchmetrics() -> None:
    flat = np.full((8, 8, 3), 0.5, np.float32)
    assert psnr(flat, flat + np.float32(0.1)) == pytest.approx(20, abs=1e-4)  # MSE 0.01
    a, b = pictures()
    second = second_psnr(as_torch(a), as_torch(b), data_range=1.0)
    assert psnr(a, b) == pytest.approx(float(second), abs=1e-5)


def test_ssim_by_hand_and_as_torchmetrics() -> None:
    dark, light = np.full((16, 16, 3), 0.25, np.float32), np.full((16, 16, 3), 0.5, np.float32)
    # No structure: (2ab + C1) / (a² + b² + C1) with C1 = 0.01².
    assert whole_ssim(dark, light) == pytest.approx((0.25 + 1e-4) / (0.3125 + 1e-4), abs=1e-6)
    a, b = pictures()
    second: Any = second_ssim(
        as_torch(a), as_torch(b), gaussian_kernel=False, kernel_size=7, data_range=1.0
    )
    # torchmetrics divides by 49 where scikit-image divides by 48, and keeps the border.
    assert whole_ssim(a, b) == pytest.approx(float(second), abs=4e-3)
    with pytest.raises(MetricError, match="pictures of 48x6 px; its window takes 7 px"):
        whole_ssim(a[:6], b[:6])


def test_landmark_distances_by_hand() -> None:
    square = np.array([[[0.0, 0], [2, 0], [2, 2], [0, 2]]])
    moved = 2 * square + np.array([100.0, -50.0])  # twice as large: every corner √2 further out
    assert frame_distances(moved, square) == pytest.approx([np.sqrt(2)])
    assert landmark_distance(moved, square) == pytest.approx(np.sqrt(2))
    assert len(IBUG) == 68
    assert len(set(IBUG.tolist())) == 68


def standing(frames: int) -> np.ndarray:
    points = np.zeros((frames, 68, 2))
    points[:, EYE_CORNERS_68[1], 0] = 10.0
    return points


def test_jitter_by_hand() -> None:
    assert eye_distance(standing(1)) == pytest.approx([10])
    gliding = standing(6) + np.arange(6)[:, None, None] * 3.0
    assert jitter(gliding) == (pytest.approx(0, abs=1e-12), 4)
    jumping = standing(6)
    jumping[..., 0] += 0.5 * (-1.0) ** np.arange(6)[:, None]
    # |x₊ − 2x + x₋| = 4 · 0.5 = 2 of an eye distance of 10.
    assert jitter(jumping) == (pytest.approx(20), 4)
    jumping[2] = np.nan
    assert jitter(jumping) == (pytest.approx(20), 1)
    with pytest.raises(MetricError, match="no three consecutive frames with a face among 2"):
        jitter(standing(2))


def face(extra: np.ndarray, scale: float = 1.0, turn: float = 0.0) -> np.ndarray:
    """One frame of the canonical face, its rigid points changed, scaled and turned."""
    points = template().copy()
    points[RIGID] += extra
    c, s = np.cos(turn), np.sin(turn)
    return (scale * points @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) + 40)[None]


def test_likeness_knows_shape_from_pose_and_size() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.normal(0, 0.05, (2, len(RIGID), 3))
    first = mean_shape(face(one))
    cosine, distance = likeness(mean_shape(face(one, scale=80, turn=0.4)), first)
    assert cosine == pytest.approx(1, abs=1e-6)
    assert distance == pytest.approx(0, abs=1e-5)
    opposite, _ = likeness(mean_shape(face(-one)), first)
    assert opposite < -0.95
    unlike, apart = likeness(mean_shape(face(other)), first)
    assert abs(unlike) < 0.3
    assert apart > 1
    assert likeness(canonical_shape(), canonical_shape()) == (1.0, pytest.approx(0, abs=1e-9))
    with pytest.raises(MetricError, match="no face in any of 3 frames"):
        mean_shape(np.full((3, 478, 3), np.nan))


def test_frechet_distance_by_a_second_route() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(300, 6)), rng.normal(0.5, 2, size=(200, 6)) @ rng.normal(size=(6, 6))
    root: Any = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T))
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = apart + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root.real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, a + 2.0) == pytest.approx(6 * 4)  # the means alone differ
    with pytest.raises(MetricError, match="1 frames against 300"):
        frechet_distance(a[:1], a)


def test_action_unit_error_by_hand() -> None:
    a, b = np.zeros((4, 17)), np.zeros((4, 17))
    a[:, UNITS.index("AU12")] = [1, 1, 2, 0]  # lower: mean of 1, 1, 4, 0 is 1.5
    b[:, UNITS.index("AU45")] = 2  # upper: 4
    told = action_unit_error(a, b)
    assert told == {"aue": 5.5, "aue_lower": 1.5, "aue_upper": 4.0}
    b[3] = np.nan  # not tracked: left out on both sides, 1, 1, 4 is 2
    assert action_unit_error(a, b)["aue_lower"] == 2
    assert len(UNITS) == 17
    assert len(LOWER) == 9
    with pytest.raises(MetricError, match="4 frames against 3"):
        action_unit_error(a, b[:3])


def program(folder: Path, body: str) -> Path:
    path = folder / "FeatureExtraction"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_openface_is_called_as_its_manual_says(tmp_path: Path) -> None:
    header = "frame, face_id, timestamp, confidence, success, " + ", ".join(
        f"{unit}_r" for unit in UNITS
    )
    row = "1, 0, 0.0, 0.98, {}, " + ", ".join(["0.5"] * 17)
    lines = f"{header}\\n{row.format(1)}\\n{row.format(0)}\\n"
    ours = program(
        tmp_path, f'[ "$1 $3 $4" = "-f -aus -out_dir" ] && printf "{lines}" > "$5/v.csv"'
    )
    values = action_units(ours, tmp_path / "v.mp4")
    assert values[0] == pytest.approx(0.5)
    assert np.isnan(values[1]).all()


def test_openface_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMOHEAD_OPENFACE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MetricError, match="OpenFace is not given: build OpenFace"):
        openface()
    with pytest.raises(MetricError, match="is no program"):
        openface(tmp_path / "nothing")
    monkeypatch.undo()
    bad = program(tmp_path, "echo no model >&2; exit 3")
    with pytest.raises(MetricError, match=r"exit code 3 for v\.mp4, no table written: no model"):
        action_units(bad, tmp_path / "v.mp4")
    (tmp_path / "old.csv").write_text("frame, AU01_c\n1, 0\n")
    with pytest.raises(MetricError, match=r"old.csv lacks AU01_r, .* OpenFace 2.2 is needed"):
        read_table(tmp_path / "old.csv")


def test_intervals_by_hand() -> None:
    found = mean_interval(np.array([0.0, 1.0]))
    # Resamples of two values have the means 0, ½, 1 with ¼, ½, ¼: both ends are reached.
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)
    assert mean_interval(np.array([3.0])).text() == "3.000 (n = 1, no interval)"
    same = mean_interval(np.array([2.0, 2.0, 2.0]))
    assert (same.low, same.high) == (2.0, 2.0)
    rng = np.random.default_rng(5)
    wide = mean_interval(rng.normal(size=400))
    assert wide.low is not None
    assert wide.high is not None
    assert wide.high - wide.low == pytest.approx(2 * 1.96 / 20, rel=0.15)  # ± 1.96 σ/√n
    table = np.array([[0.0, 1.0], [2.0, np.nan]])
    crossed = crossed_interval(table)
    assert crossed.mean == 1
    assert (crossed.low, crossed.high) == (0.0, 2.0)


def test_a_cell_is_a_value_or_a_reason() -> None:
    assert not_measured("psnr", "no reference").text() == "not measured: no reference"
    wrongs: tuple[dict[str, Any], ...] = (
        {},
        {"value": 1.0, "why_not": "x"},
        {"value": float("nan")},
    )
    for wrong in wrongs:
        with pytest.raises(MetricError, match="psnr"):
            Measured("psnr", **wrong)


def test_what_is_not_there_says_what_brings_it(tmp_path: Path) -> None:
    judges = Judges(Shelf(tmp_path / "empty"), tmp_path / "no-openface")
    for ask, weight in (
        (judges.lpips, "alexnet"),
        (judges.inception, "fid_inception"),
        (judges.syncnet, "syncnet"),
        (judges.expressions, "face_api"),
    ):
        with pytest.raises(MetricError, match=f"`emohead weights add {weight} PATH`"):
            ask()
    assert set(judges.identity().values()) == {None}
    assert set(ONE) < set(CATALOGUE)
