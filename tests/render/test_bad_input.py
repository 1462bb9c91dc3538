"""What can be wrong with a clip or a machine, and what training says or does about it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.synthetic_head import synthetic_head
from render.checkpoint import CHECKPOINT
from render.engine_fused import FusedEngine
from render.engine_types import StepPlan
from render.errors import ConfigError, HeadDataError, TrainingError
from render.field import FieldConfig
from render.hash_grid_config import HashGridConfig
from render.head import load_head
from render.head_config import HeadConfig
from render.head_data import HeadData
from render.occupancy import OccupancyConfig
from render.pose_check import pose_outliers
from render.trainer import train_head

Maker = Callable[[int, int], HeadData]
ROOT = Path(__file__).resolve().parents[2]

CONFIG = HeadConfig(
    field=FieldConfig(
        HashGridConfig(4, 2, 10, base_resolution=6, growth=1.5),
        expression_resolution=6,
        ambient=2,
        geometry=8,
        density_width=16,
        colour_width=16,
        sh_degree=2,
        appearance=2,
    ),
    occupancy=OccupancyConfig(resolution=16, warm_up=10, every=4),
    steps=40,
    rays=128,
    march_steps=24,
    coarse_march_steps=24,
    threads=1,
    report_every=10,
    device="cpu",
)


def test_twenty_usable_frames_are_enough_and_nineteen_are_not(
    make_head_data: Maker, tmp_path: Path
) -> None:
    data = make_head_data(30, 2)
    found = np.ones(30, bool)
    found[:4] = False
    exact = replace(data, found=found, test=np.arange(30) >= 24)
    head = train_head(exact, CONFIG, tmp_path / "twenty")
    assert head.facts["training_frames"] == 20
    fewer = found.copy()
    fewer[10] = False
    with pytest.raises(HeadDataError, match=r"19 usable training frames.*need at least 20"):
        train_head(replace(exact, found=fewer), CONFIG, tmp_path / "nineteen")
    assert not (tmp_path / "nineteen").exists()


def test_poses_that_contradict_the_picture_are_left_out_and_said(
    make_head_data: Maker, tmp_path: Path
) -> None:
    data = make_head_data(60, 3)
    cameras = data.cameras.copy()
    cameras[3, 0, 3] += 4.0  # two heads aside
    cameras[7, 2, 3] *= 2.0  # twice as far away
    cameras[11, :, :3] *= 1.3  # no rotation any more
    cameras[50, 0, 3] += 4.0  # held out: not ours to judge
    wild = replace(data, cameras=cameras)
    assert np.flatnonzero(pose_outliers(wild.labels, cameras, data.focal)).tolist() == [
        3,
        7,
        11,
        50,
    ]
    assert not pose_outliers(data.labels, data.cameras, data.focal).any()
    head = train_head(wild, replace(CONFIG, steps=4), tmp_path)
    assert head.facts["training_frames"] == 37
    assert head.facts["notes"] == [
        "3 of 40 training frames left out: their pose contradicts where the head is in the picture"
    ]
    assert pose_outliers(data.labels[:0], data.cameras[:0], data.focal).shape == (0,)


def test_frames_without_a_mask_are_left_out_and_said(make_head_data: Maker, tmp_path: Path) -> None:
    data = make_head_data(60, 3)
    labels = data.labels.copy()
    labels[2:5] = 255  # not parsed
    labels[9] = 0  # nothing found
    head = train_head(replace(data, labels=labels), replace(CONFIG, steps=4), tmp_path)
    assert head.facts["training_frames"] == 36
    assert head.facts["notes"][0].startswith("4 of 40 training frames left out: no face")


def test_rays_are_halved_where_memory_runs_out(
    make_head_data: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_head_data(60, 3)
    real = FusedEngine.gradients
    drawn: list[int] = []

    def small(self: FusedEngine, plan: StepPlan) -> None:
        if plan.rays > 300 and plan.number >= 2:
            raise MemoryError("cannot allocate 9 GiB")
        drawn.append(plan.rays)
        real(self, plan)

    monkeypatch.setattr(FusedEngine, "gradients", small)
    told: list[dict[str, float]] = []
    config = replace(CONFIG, steps=6, rays=1024, report_every=6)
    head = train_head(data, config, tmp_path, lambda s, t, m: told.append(m))
    assert drawn == [1024, 1024, 256, 256, 256, 256]
    assert head.facts["notes"] == [
        "memory ran out at step 2: 512 rays a step instead of 1024",
        "memory ran out at step 2: 256 rays a step instead of 512",
    ]
    assert 5 < told[0]["psnr"] < 40  # a mean over the rays that were drawn
    monkeypatch.setattr(FusedEngine, "gradients", always_too_large)
    with pytest.raises(TrainingError, match=r"no memory for 64 rays a step.*lower max_samples"):
        train_head(data, CONFIG, tmp_path / "none")


def always_too_large(self: FusedEngine, plan: StepPlan) -> None:
    raise MemoryError("cannot allocate")


def test_a_torn_checkpoint_says_so(make_head_data: Maker, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"torn")
    with pytest.raises(TrainingError, match=r"cannot be read .* delete it to start anew"):
        train_head(make_head_data(60, 3), CONFIG, tmp_path)


def test_settings_that_cannot_be_are_refused() -> None:
    for wrong in ({"steps": 0}, {"rays": 0}, {"seconds": 0.0}, {"march_steps": 1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            replace(CONFIG, **wrong)
    with pytest.raises(ConfigError, match="growth = -1"):
        OccupancyConfig(growth=-1)
    with pytest.raises(ConfigError, match="appearance = -1"):
        FieldConfig(appearance=-1)


def test_both_schedules_end_where_they_should() -> None:
    linear = replace(CONFIG, schedule="linear", final_rate=0.1)
    assert [round(linear.fade(d), 3) for d in (0.0, 0.5, 1.0)] == [1.0, 0.55, 0.1]
    assert [round(CONFIG.fade(d), 4) for d in (0.0, 0.5, 1.0)] == [1.0, 0.1732, 0.03]


def child(folder: Path, every: float) -> None:
    """What a process of its own runs: the whole training, a checkpoint every so many seconds."""
    train_head(synthetic_head(60, 3, 48), replace(CONFIG, save_every=every), folder)


def started(folder: Path, every: float) -> subprocess.Popen[bytes]:
    code = (
        "import importlib.util, sys, pathlib\n"
        f"spec = importlib.util.spec_from_file_location('bad_input', {str(Path(__file__))!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['bad_input'] = module\n"
        "spec.loader.exec_module(module)\n"
        f"module.child(pathlib.Path({str(folder)!r}), {every})\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=ROOT)


def test_a_run_killed_by_the_system_ends_the_same(tmp_path: Path) -> None:
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    process = started(cut, 0.0)
    path = cut / CHECKPOINT
    until = time.monotonic() + 90
    while not path.is_file():
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (cut / "head.json").exists()
    # In processes of their own, too: what other tests did to this one must not count.
    ended = [started(folder, CONFIG.save_every) for folder in (cut, whole)]
    assert [process.wait() for process in ended] == [0, 0]
    resumed, calm = (load_head(folder, threads=1, device="cpu") for folder in (cut, whole))
    np.testing.assert_array_equal(calm.renderer.theta, resumed.renderer.theta)
    np.testing.assert_array_equal(calm.occupied, resumed.occupied)
    assert not path.exists()


def test_a_head_of_the_first_format_still_loads(make_head_data: Maker) -> None:
    """Written by the code before format 2: tests/render/data/README.md."""
    head = load_head(Path(__file__).parent / "data" / "head_v1", threads=1, device="cpu")
    data = make_head_data(60, 3)
    i = int(np.flatnonzero(data.test)[3])
    rgb, opacity = head.render(data.cameras[i], data.alpha[i], 48)
    head_pixels = data.labels[i] == 1
    assert opacity[head_pixels].mean() > 0.9
    assert opacity[data.labels[i] == 0].mean() < 0.1
    truth = data.frames[i][head_pixels] / 255
    assert -10 * np.log10(((rgb[head_pixels] - truth) ** 2).mean()) > 20
