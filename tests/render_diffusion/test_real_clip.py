"""A second of a real clip is learnt by heart; the two-second proof is `benchmarks/diffusion.py`."""

from pathlib import Path

import numpy as np
import pytest

from models.data import read_steps
from pipeline.process import process_clip
from pipeline.profiles import load_profile
from pipeline.scan import scan
from render.diffusion.animate import Sampling, animate
from render.diffusion.config import NetworkConfig, PortraitTraining
from render.diffusion.data import PortraitClip, PortraitData, shrink
from render.diffusion.trainer import train_portrait


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Of all frames, dB."""
    return float(10 * np.log10(255**2 / ((a.astype(float) - b) ** 2).mean()))


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_second_of_a_real_clip_is_reproduced(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "real" / "hdtf" / "WDA_KatieHill_000.mp4"
    names = ("video/rgb", "audio/logmel", "expression/semantic")
    arrays = process_clip(scan(path).clips[0], names, load_profile()).arrays
    frames = shrink(arrays["video/rgb"], 32)
    audio = read_steps(arrays["audio/logmel"]).astype(np.float32)
    alpha = arrays["expression/semantic"].astype(np.float32)
    rows = {"second": slice(0, 25), "pictures": slice(100, 103)}
    clips = [
        PortraitClip(name, "hill", "", frames[row], audio[row], alpha[row])
        for name, row in rows.items()
    ]
    config = PortraitTraining(
        NetworkConfig(size=32, block=4, channels=(32, 64), heads=2, groups=8, token_width=64),
        steps=600, learning_rate=2e-3, ema=0.99, threads=1,
    )  # fmt: skip
    losses: list[float] = []
    model = train_portrait(
        PortraitData(tuple(clips)), config, tmp_path, lambda s, t, m: losses.append(m["loss"])
    )
    assert np.mean(losses[-4:]) < 0.4 * np.mean(losses[:4])
    parts = animate(model, config.noise, frames[101], audio[:25], alpha[:25], Sampling(4))
    made = np.concatenate(list(parts))
    mean = np.repeat(frames[:25].mean(0, keepdims=True), 25, 0)
    assert psnr(made, frames[:25]) > max(22.0, psnr(mean, frames[:25]) + 3)
