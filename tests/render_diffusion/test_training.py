"""Training: the loss falls, a killed run ends in the same bits, mistakes are named."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import render.diffusion.trainer
from render.diffusion.batches import PortraitBatches
from render.diffusion.checkpoint import MODEL, TRAINING, load_portrait, read
from render.diffusion.config import NetworkConfig, PortraitTraining
from render.diffusion.data import PortraitClip, PortraitData
from render.diffusion.noise import Chain
from render.diffusion.portrait import Portrait
from render.diffusion.trainer import portrait_loss, train_portrait
from render.errors import PortraitDataError, PortraitFolderError, TrainingError

Maker = Callable[..., PortraitClip]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data(make_clip: Maker) -> PortraitData:
    return PortraitData((make_clip("red"), make_clip("blue", seed=1)), {"snapshot": "abc"})


@pytest.fixture
def config(tiny: NetworkConfig) -> PortraitTraining:
    return PortraitTraining(tiny, steps=4, report_every=2, save_every=0.0, warm_up=2)


def test_one_step_lowers_a_fixed_loss(data: PortraitData, config: PortraitTraining) -> None:
    torch.manual_seed(0)
    model = Portrait(config.network, data.audio_width, data.k)
    batch = PortraitBatches(data.clips, config).of(0)
    chain = Chain(config.noise)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    before = portrait_loss(model, chain, batch)
    before.backward()
    optimiser.step()
    with torch.no_grad():
        after = portrait_loss(model, chain, batch)
    assert after.item() < before.item()


def test_pixels_count_in_the_loss_by_where_expression_shows(
    data: PortraitData, config: PortraitTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    shown = [rng.integers(0, 256, (24, 32, 32), dtype=np.uint8) for _ in data.clips]
    clips = [replace(c, moving=map_) for c, map_ in zip(data.clips, shown, strict=True)]
    weighed = replace(config, moving_weight=3.0)
    batch = PortraitBatches(clips, weighed).of(0)
    assert batch.weight is not None
    model = Portrait(config.network, data.audio_width, data.k)
    # A network that says zero everywhere errs by the frames themselves.
    monkeypatch.setattr(model, "forward", lambda places, *_: torch.zeros_like(places))
    frames, weight = batch.frames[0, 2:].numpy(), batch.weight[0, 2:].numpy()
    expected = (frames**2 * weight).sum() / (3 * weight.sum())
    chain = Chain(replace(config.noise, snr_gamma=1.0))
    assert portrait_loss(model, chain, batch).item() == pytest.approx(expected, rel=1e-5)
    assert 1 <= weight.min() < 1.1 < 3.9 < weight.max() <= 4
    even = PortraitBatches(clips, config).of(0)
    assert even.weight is None
    assert torch.equal(even.frames, batch.frames)
    with pytest.raises(PortraitDataError, match="have no maps of moving parts"):
        train_portrait(data, weighed, Path("nowhere"))


def test_a_killed_run_goes_on_and_ends_in_the_same_bits(
    data: PortraitData, config: PortraitTraining, tmp_path: Path
) -> None:
    seldom = replace(config, save_every=1e9)
    train_portrait(data, seldom, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(step: int, total: int, metrics: dict[str, float]) -> None:
        assert total == 4
        if step == 2:
            raise Killed

    with pytest.raises(Killed):
        train_portrait(data, config, tmp_path / "cut", kill)
    assert read(tmp_path / "cut" / TRAINING).state["step"] == 1
    with pytest.raises(PortraitFolderError, match=r"holds no portrait\.safetensors"):
        load_portrait(tmp_path / "cut")
    train_portrait(data, seldom, tmp_path / "cut")

    # A third one: stopped by its number of steps, then told to take more.
    train_portrait(data, replace(seldom, steps=3), tmp_path / "more")
    train_portrait(data, seldom, tmp_path / "more")

    whole = read(tmp_path / "whole" / MODEL)
    assert whole.state["provenance"] == {"snapshot": "abc"}
    assert [point["step"] for point in whole.state["curve"]] == [2, 4]
    for name in ("cut", "more"):
        other = read(tmp_path / name / MODEL)
        for key, tensor in whole.groups["model"].items():
            assert torch.equal(tensor, other.groups["model"][key]), (name, key)
        assert [p["loss"] for p in other.state["curve"]] == [
            p["loss"] for p in whole.state["curve"]
        ]
    assert (tmp_path / "whole" / "portrait.json").is_file()


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from render.diffusion.config import NetworkConfig, PortraitTraining
from render.diffusion.data import PortraitClip, PortraitData
from render.diffusion.trainer import train_portrait

rng = np.random.default_rng(0)
frames = rng.integers(0, 255, (20, 32, 32, 3), dtype=np.uint8)
clip = PortraitClip("a", "p", "", frames, rng.normal(size=(20, 6)), rng.normal(size=(20, 3)))
network = NetworkConfig(size=32, channels=(16, 32), heads=2, groups=8, token_width=32, frames=4)
config = PortraitTraining(network, steps=30, report_every=10, save_every=0.0, threads=1)
train_portrait(PortraitData((clip,)), config, Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_a_run_killed_by_the_system_ends_in_the_same_bits(tmp_path: Path) -> None:
    def start(folder: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], cwd=ROOT)

    assert start(tmp_path / "whole").wait(timeout=250) == 0
    cut = tmp_path / "cut"
    process = start(cut)
    deadline = time.monotonic() + 120
    while not (cut / TRAINING).is_file() or read(cut / TRAINING).state["step"] < 5:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -9
    assert not (cut / MODEL).exists()
    assert start(cut).wait(timeout=250) == 0
    whole, resumed = read(tmp_path / "whole" / MODEL), read(cut / MODEL)
    for key, tensor in whole.groups["model"].items():
        assert torch.equal(tensor, resumed.groups["model"][key]), key


def test_another_run_is_not_taken_up(
    data: PortraitData, config: PortraitTraining, tmp_path: Path, make_clip: Maker
) -> None:
    train_portrait(data, replace(config, steps=1), tmp_path)
    with pytest.raises(TrainingError, match=r"learning_rate: 0\.0005 then, 0\.001 now"):
        train_portrait(data, replace(config, learning_rate=1e-3), tmp_path)
    with pytest.raises(TrainingError, match="the clips differ"):
        train_portrait(PortraitData((make_clip("red"),)), config, tmp_path)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(
    data: PortraitData, config: PortraitTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = render.diffusion.trainer.portrait_loss
    calls = 0

    def break_at_three(*args: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return real(*args) * (float("nan") if calls == 3 else 1.0)  # type: ignore[arg-type]

    monkeypatch.setattr(render.diffusion.trainer, "portrait_loss", break_at_three)
    with pytest.raises(TrainingError, match=r"nan at step 2.*training\.safetensors"):
        train_portrait(data, config, tmp_path)
    assert read(tmp_path / TRAINING).state["step"] == 2


def test_windows_hold_motion_frames_and_pictures_of_another_moment(
    make_clip: Maker, config: PortraitTraining
) -> None:
    clips = (make_clip("red"), make_clip("blue", seed=1))
    batches = PortraitBatches(clips, replace(config, batch=8, drop_motion=0.5))
    assert batches.windows == 2 * (24 - 4 + 1)
    alone = 0
    for step in range(6):
        batch = batches.of(step)
        for frames, state, picture, felt in zip(
            batch.frames, batch.state, batch.picture, batch.conditions.expression, strict=True
        ):
            pixels = ((frames + 1) * 127.5).round().numpy().astype(np.uint8).transpose(0, 2, 3, 1)
            clip = next(c for c in clips if np.isin(pixels[2, 16, 5:27], c.frames[0, 16]).all())
            first = next(i for i in range(24) if np.array_equal(clip.expression[i], felt[2]))
            np.testing.assert_array_equal(pixels[2:], clip.frames[first : first + 4])
            if state[0] == 2:
                alone += 1
                assert (frames[:2] == 0).all()
            else:
                np.testing.assert_array_equal(pixels[:2], clip.frames[first - 2 : first])
            shown = ((picture + 1) * 127.5).round().numpy().astype(np.uint8).transpose(1, 2, 0)
            places = [i for i in range(24) if np.array_equal(clip.frames[i], shown)]
            assert places
            assert not set(places) & set(range(first - 2, first + 4)) or len(places) > 1
    assert 10 < alone < 40
    again = PortraitBatches(clips, replace(config, batch=8, drop_motion=0.5)).of(5)
    last = batches.of(5)
    assert torch.equal(again.frames, last.frames)
    assert torch.equal(again.noise((3,)), last.noise((3,)))


def test_data_that_does_not_fit_is_named(
    make_clip: Maker, config: PortraitTraining, tmp_path: Path
) -> None:
    clip = make_clip("red")
    with pytest.raises(PortraitDataError, match="no clips"):
        PortraitData(())
    with pytest.raises(PortraitDataError, match=r"red0: lengths .*'audio': 23"):
        PortraitData((replace(clip, audio=clip.audio[:-1]),))
    other = make_clip("blue", seed=1)
    other = replace(other, audio=other.audio[:, :5])
    with pytest.raises(PortraitDataError, match="audio channels: 5 in clip blue1, 6 in clip red0"):
        PortraitData((clip, other))
    broken = clip.audio.copy()
    broken[7] = np.nan
    with pytest.raises(PortraitDataError, match="not finite at frame 7 of 24"):
        PortraitData((replace(clip, audio=broken),))
    with pytest.raises(PortraitDataError, match="no frame of 24 has coefficients"):
        PortraitData((replace(clip, expression=np.full_like(clip.expression, np.nan)),))
    short = make_clip("red", frames=3)
    with pytest.raises(PortraitDataError, match="has 3 frames, a window 4"):
        train_portrait(PortraitData((short,)), config, tmp_path)
    with pytest.raises(PortraitDataError, match="frames of 32 px, the network is for 64 px"):
        train_portrait(
            PortraitData((clip,)), replace(config, network=NetworkConfig(size=64)), tmp_path
        )


def test_clips_without_an_emotion_label_are_learnt_from_unless_told_otherwise(
    make_clip: Maker,
) -> None:
    data = PortraitData((make_clip("red", emotion="happy"), make_clip("blue", seed=1)))
    assert len(data.training()) == 2
    assert [clip.emotion for clip in data.training(emotion_free=False)] == ["happy"]
    unlabelled = PortraitData((make_clip("red"),))
    with pytest.raises(PortraitDataError, match="none of 1 clips can be learnt from"):
        unlabelled.training(emotion_free=False)
