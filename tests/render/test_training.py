"""Training a synthetic head: better than both baselines, resumable, honest about failure."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.face.indices import LANDMARKS
from render.errors import HeadDataError, HeadFolderError, TrainingError
from render.expression_score import MOUTH as MOUTH_POINTS
from render.expression_score import score_expression
from render.field import FieldConfig
from render.fused import FusedField, StepReport
from render.hash_grid_config import HashGridConfig
from render.head import Head, load_head
from render.head_config import HeadConfig
from render.head_data import HeadData
from render.masks import MOUTH, members
from render.metrics import score_head
from render.occupancy import OccupancyConfig
from render.trainer import train_head

Maker = Callable[[int, int], HeadData]

TINY = HeadConfig(
    field=FieldConfig(
        HashGridConfig(5, 2, 12, base_resolution=8, growth=1.5),
        expression_resolution=8,
        ambient=2,
        geometry=8,
        density_width=16,
        colour_width=16,
        sh_degree=2,
    ),
    occupancy=OccupancyConfig(resolution=24, warm_up=60),
    steps=800,
    rays=256,
    march_steps=32,
    coarse_march_steps=20,
    coarse_until=100,
    max_samples=48,
    report_every=50,
    threads=2,
)


@pytest.fixture(scope="module")
def data(make_head_data: Maker) -> HeadData:
    return make_head_data(60, 3)


@pytest.fixture(scope="module")
def trained(data: HeadData, tmp_path_factory: pytest.TempPathFactory) -> tuple[Head, Path]:
    folder = tmp_path_factory.mktemp("head")
    return train_head(data, TINY, folder, provenance={"snapshot": "abc"}), folder


def test_a_trained_head_beats_both_baselines_on_held_out_frames(
    trained: tuple[Head, Path], data: HeadData
) -> None:
    score = score_head(trained[0], data, 6)
    assert score.frames == 6
    assert score.psnr > score.nearest_psnr + 2
    assert score.psnr > score.mean_psnr + 3
    assert score.ssim > score.nearest_ssim
    assert score.opacity_error < 0.05


def test_the_mouth_follows_alpha(trained: tuple[Head, Path], data: HeadData) -> None:
    head, _ = trained
    camera = data.cameras[0]
    dark = []
    for opening in (-1.0, 1.0):
        rgb, opacity = head.render(camera, np.array([opening, 0], np.float32), data.size)
        dark.append(int(((rgb.sum(2) < 0.5) & (opacity > 0.8)).sum()))
    truth = [
        int(members(MOUTH)[data.labels[i]].sum())
        for i in (np.argmin(data.alpha[:, 0]), np.argmax(data.alpha[:, 0]))
    ]
    assert dark[1] > 1.5 * max(dark[0], 1), (dark, truth)


def mouth_finder(picture: np.ndarray) -> np.ndarray:
    """Landmarks of the ellipsoid: its dark mouth's height on the lips, everything else fixed."""
    points = np.random.default_rng(0).normal(size=(LANDMARKS, 3)).astype(np.float32)
    # Only as high as half of the widest dark row: lone dark pixels of a young head do not count.
    dark = (picture.astype(int).sum(2) < 130).sum(1)
    height = float((dark > 0.5 * max(dark.max(), 1)).sum())
    points[MOUTH_POINTS] = 0
    points[MOUTH_POINTS, 1] = np.linspace(-height / 2, height / 2, len(MOUTH_POINTS))
    return points


def test_expression_is_carried_by_alpha_alone(trained: tuple[Head, Path], data: HeadData) -> None:
    head, _ = trained
    score = score_expression(head, data, 8, mouth_finder)
    assert score.frames == 8
    assert score.ratio < 0.5, score
    assert score.m_lmd < 0.5 * score.m_lmd_fixed

    class Deaf(Head):
        """Renders one expression, whatever it is told."""

        def render(self, camera: Any, alpha: Any, *rest: Any, **more: Any) -> Any:
            return super().render(camera, np.zeros_like(alpha), *rest, **more)

    deaf = score_expression(Deaf(**vars(head)), data, 8, mouth_finder)
    assert 0.9 < deaf.ratio < 1.1, deaf
    with pytest.raises(HeadDataError, match="at least 2 are needed to swap"):
        score_expression(head, replace(data, test=np.zeros(60, bool)), 8, mouth_finder)


def test_a_head_folder_reads_back_the_same(trained: tuple[Head, Path], data: HeadData) -> None:
    head, folder = trained
    again = load_head(folder, threads=1)
    a, _ = head.render(data.cameras[2], data.alpha[2], 32)
    b, _ = again.render(data.cameras[2], data.alpha[2], 32)
    np.testing.assert_allclose(a, b, atol=1e-5)
    assert again.facts["provenance"] == {"snapshot": "abc"}
    assert again.facts["steps"] == TINY.steps
    assert not (folder / "training.safetensors").exists()


def test_rendering_scales_with_the_picture(trained: tuple[Head, Path], data: HeadData) -> None:
    head, _ = trained
    small, _ = head.render(data.cameras[0], data.alpha[0], 24)
    large, _ = head.render(data.cameras[0], data.alpha[0], 48)
    halved = large.reshape(24, 2, 24, 2, 3).mean((1, 3))
    assert np.abs(small - halved).mean() < 0.03


def test_a_killed_run_goes_on_and_ends_the_same(
    data: HeadData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One thread: sums of two threads' gradients are the same each time too, but let it be exact.
    config = replace(TINY, steps=30, save_every=0.0, report_every=10, threads=1)
    whole = train_head(data, config, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(step: int, total: int, metrics: dict[str, float]) -> None:
        assert total == 30
        if step == 20:
            raise Killed

    with pytest.raises(Killed):
        train_head(data, config, tmp_path / "cut", kill)
    steps: list[int] = []
    resumed = train_head(data, config, tmp_path / "cut", lambda s, t, m: steps.append(s))
    assert steps == [20, 30]  # the checkpoint was of step 19
    np.testing.assert_array_equal(whole.renderer.theta, resumed.renderer.theta)

    with pytest.raises(Killed):
        train_head(data, config, tmp_path / "other", kill)
    with pytest.raises(TrainingError, match="another config"):
        train_head(data, replace(config, seed=1), tmp_path / "other")


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(
    data: HeadData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FusedField.train
    calls = 0

    def break_at_ten(self: FusedField, *args: object, **more: object) -> StepReport:
        nonlocal calls
        calls += 1
        if calls == 10:
            self.theta[:] = np.nan
        return real(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(FusedField, "train", break_at_ten)
    config = replace(TINY, steps=30, save_every=0.0)
    with pytest.raises(TrainingError, match=r"step 8.*last good state.*training\.safetensors"):
        train_head(data, config, tmp_path)
    monkeypatch.undo()
    assert np.isfinite(train_head(data, config, tmp_path).renderer.theta).all()


def test_a_time_budget_ends_training(data: HeadData, tmp_path: Path) -> None:
    totals: list[int] = []
    config = replace(TINY, seconds=1.0, report_every=5)
    head = train_head(data, config, tmp_path, lambda s, t, m: totals.append(t))
    assert 0.9 < head.facts["seconds"] < 4
    assert head.facts["steps"] >= 1


def test_too_little_data_is_refused(make_head_data: Maker, tmp_path: Path) -> None:
    with pytest.raises(HeadDataError, match="need at least 20"):
        train_head(make_head_data(21, 3), TINY, tmp_path)


def test_a_folder_without_a_head_says_so(tmp_path: Path, trained: tuple[Head, Path]) -> None:
    with pytest.raises(HeadFolderError, match="holds no head"):
        load_head(tmp_path)
    text = (trained[1] / "head.json").read_text()
    (tmp_path / "head.json").write_text(text.replace('"format": 2', '"format": 99'))
    with pytest.raises(HeadFolderError, match="format 99"):
        load_head(tmp_path)
