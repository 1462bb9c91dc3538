"""MoEE's experts inside the video diffusion model: frozen rest, trained experts, saved with it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from models.labels import LABELS, label_vector
from render.diffusion.checkpoint import load_portrait
from render.diffusion.config import NetworkConfig, PortraitTraining
from render.diffusion.data import PortraitClip, PortraitData
from render.diffusion.experts import EmotionExperts, told
from render.diffusion.trainer import train_portrait

N = len(LABELS)


def test_tracks_say_what_is_known() -> None:
    label = np.repeat(label_vector("happy")[None], 3, 0)
    track = told(3, label, None, N, 2)
    assert track.shape == (3, 1, N + 4)
    np.testing.assert_array_equal(track[:, 0, :N], label)
    assert track[0, 0, N:].tolist() == [1, 0, 0, 0]
    assert told(3, None, np.ones((3, 2), np.float32), N, 2)[0, 0, N:].tolist() == [0, 1, 1, 1]
    assert not told(3, None, None, N).any()


def test_a_second_stage_trains_the_experts_alone(
    make_clip: Callable[..., PortraitClip], tiny: NetworkConfig, tmp_path: Path
) -> None:
    experts = EmotionExperts(32, N, latent=16, tokens=2)
    network = replace(tiny, emotion_width=experts.emotion_width)
    label = np.repeat(label_vector("sad")[None], 24, 0)
    clips = [
        replace(make_clip("red"), emotion_latent=told(24, label, None, N)),
        replace(make_clip("blue", seed=1), emotion_latent=told(24, None, None, N)),
    ]
    data = PortraitData(tuple(clips))
    config = PortraitTraining(network, steps=3, warm_up=1, learning_rate=1e-2, ema=0.0)
    first = train_portrait(data, config, tmp_path / "first")
    assert first.mid_width == 32
    frozen = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    first.requires_grad_(False)
    second = train_portrait(data, config, tmp_path / "second", after_mid=experts, model=first)
    for name, tensor in second.state_dict().items():
        if not name.startswith("after_mid."):
            assert torch.equal(tensor, frozen[name]), name
    assert experts.mixture.out.abs().max() > 0  # they started as nothing
    again = load_portrait(tmp_path / "second", after_mid=EmotionExperts(32, N, latent=16, tokens=2))
    x, track = torch.randn(6, 4, 32), torch.from_numpy(told(6, label[:6], None, N))
    with torch.no_grad():
        assert torch.equal(again.after_mid(x, track), experts(x, track))  # type: ignore[misc]
        assert not torch.equal(experts(x, track), experts(x, torch.zeros_like(track)))
