"""MoEE's experts inside the video diffusion model: nothing at first, then the only thing learnt."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.experts.mixture import ExpertMixture
from models.labels import LABELS, label_vector
from render.diffusion.batches import PortraitBatches
from render.diffusion.checkpoint import MODEL, TRAINING, load_portrait, read
from render.diffusion.config import ExpertsConfig, NetworkConfig, NoiseConfig, PortraitTraining
from render.diffusion.data import PortraitClip, PortraitData
from render.diffusion.experts import told
from render.diffusion.noise import Chain
from render.diffusion.portrait import Portrait
from render.diffusion.trainer import portrait_loss, train_portrait
from render.errors import ConfigError, PortraitDataError, PortraitFolderError, TrainingError

N = len(LABELS)
EXPERTS = ExpertsConfig(latent=16, tokens=2, inner=16, heads=2)
Maker = Callable[..., PortraitClip]


def asked(frames: int, tag: str | None) -> np.ndarray:
    label = None if tag is None else np.repeat(label_vector(tag)[None], frames, 0)
    return told(frames, label, None, EXPERTS)


def last_layers(model: Portrait) -> list[torch.nn.Parameter]:
    """Of each mixture: zero in a fresh one."""
    assert model.experts is not None
    return [m.out for m in model.experts.mixtures.values() if isinstance(m, ExpertMixture)]


@pytest.fixture
def data(make_clip: Maker) -> PortraitData:
    """Red is sad; nobody knows what blue is."""
    red, blue = make_clip("red"), make_clip("blue", seed=1)
    return PortraitData(
        (replace(red, asked=asked(24, "sad")), replace(blue, asked=asked(24, None)))
    )


@pytest.fixture
def second(tiny: NetworkConfig) -> PortraitTraining:
    return PortraitTraining(
        replace(tiny, experts=EXPERTS), steps=4, warm_up=1, learning_rate=1e-2, ema=0.0,
        frozen=True, drop_expression=0.0, save_every=0.0,
    )  # fmt: skip


@pytest.fixture
def first(data: PortraitData, tiny: NetworkConfig, tmp_path: Path) -> Path:
    """A finished model without experts."""
    plain = PortraitData(tuple(replace(clip, asked=None) for clip in data.clips))
    config = PortraitTraining(tiny, steps=2, warm_up=1, learning_rate=1e-2, ema=0.0)
    train_portrait(plain, config, tmp_path / "first")
    return tmp_path / "first"


def test_tracks_say_what_is_known() -> None:
    config = ExpertsConfig(voice_width=2)
    label = np.repeat(label_vector("happy")[None], 3, 0)
    track = told(3, label, None, config)
    assert track.shape == (3, N + 4)
    np.testing.assert_array_equal(track[:, :N], label)
    assert track[0, N:].tolist() == [1, 0, 0, 0]
    voice = np.ones((3, 2), np.float32)
    assert told(3, None, voice, config)[0, N:].tolist() == [0, 1, 1, 1]
    assert not told(3, None, None, config).any()


def test_experts_stand_beside_every_cross_attention_or_the_middle_one(tiny: NetworkConfig) -> None:
    every = Portrait(replace(tiny, experts=EXPERTS), 6, 3).experts
    middle = Portrait(replace(tiny, experts=replace(EXPERTS, where="middle")), 6, 3).experts
    assert every is not None
    assert middle is not None
    # Two levels down of one layer, the middle, two levels up of two.
    assert len(every.mixtures) == 2 + 1 + 4
    assert [name for name in every.mixtures if "motion" in name] == []
    assert list(middle.mixtures) == ["mid_block-attentions-0-transformer_blocks-0-attn2"]
    x, track = torch.randn(6, 4, 32), torch.from_numpy(asked(6, "happy"))
    added = middle.added(
        "mid_block.attentions.0.transformer_blocks.0.attn2", x, middle.latent(track)
    )
    assert added.shape == x.shape
    assert not added.any()


def test_fresh_experts_change_nothing_and_learn(
    data: PortraitData, second: PortraitTraining, tiny: NetworkConfig
) -> None:
    with_, without = Portrait(second.network, 6, 3), Portrait(tiny, 6, 3)
    for model in (with_, without):
        torch.manual_seed(4)
        torch.nn.init.normal_(model.unet.conv_out.weight, std=0.1)
    batches = PortraitBatches(data.clips, replace(second, batch=6))
    batch, chain = batches.of(0), Chain(NoiseConfig())
    loss = portrait_loss(with_, chain, batch)
    assert torch.equal(loss, portrait_loss(without, chain, batch))
    loss.backward()
    assert with_.experts is not None
    for out in last_layers(with_):
        assert out.grad is not None
        assert out.grad.abs().max() > 0
    with torch.no_grad():
        for out in last_layers(with_):
            out.normal_()
    moved = portrait_loss(with_, chain, batch)
    assert not torch.equal(loss, moved)
    moved.backward()
    for name, parameter in with_.experts.named_parameters():
        # No clip tells a voice or words.
        if not name.startswith(("latents.from_voice", "latents.from_words")):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_a_second_stage_trains_the_experts_alone_and_resumes_in_the_same_bits(
    data: PortraitData, second: PortraitTraining, first: Path, tmp_path: Path
) -> None:
    whole = train_portrait(data, second, tmp_path / "whole", first=first)
    began = read(first / MODEL).groups["model"]
    for name, tensor in whole.state_dict().items():
        if not name.startswith("experts."):
            assert torch.equal(tensor, began[name]), name
    assert all(out.abs().max() > 0 for out in last_layers(whole))

    train_portrait(data, replace(second, steps=2), tmp_path / "cut", first=first)
    assert read(tmp_path / "cut" / TRAINING).state["step"] == 2
    train_portrait(data, second, tmp_path / "cut", first=first)
    again = load_portrait(tmp_path / "cut")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name

    other = replace(second.network, experts=None)
    train_portrait(
        PortraitData(tuple(replace(clip, asked=None) for clip in data.clips)),
        replace(second, network=other, frozen=False, steps=1), tmp_path / "third",
    )  # fmt: skip
    with pytest.raises(TrainingError, match="it began with another model"):
        train_portrait(data, second, tmp_path / "cut", first=tmp_path / "third")


def test_stages_that_do_not_fit_are_named(
    data: PortraitData, second: PortraitTraining, first: Path, tmp_path: Path, tiny: NetworkConfig
) -> None:
    with pytest.raises(ConfigError, match="frozen without experts"):
        PortraitTraining(tiny, frozen=True)
    with pytest.raises(ConfigError, match="frozen without a first model"):
        train_portrait(data, second, tmp_path / "none")
    wider = replace(second, network=replace(second.network, token_width=16))
    with pytest.raises(PortraitFolderError, match="token_width: 32 there, 16 here"):
        train_portrait(data, wider, tmp_path / "wider", first=first)
    with pytest.raises(PortraitDataError, match=f"in {N + 2} channels, the network reads 0"):
        train_portrait(data, PortraitTraining(tiny, steps=1), tmp_path / "unread")
    with pytest.raises(ConfigError, match=r"experts\.where = 'top'"):
        ExpertsConfig(where="top")
    with pytest.raises(ConfigError, match="are not divided by 3 heads"):
        ExpertsConfig(heads=3)
    config = PortraitTraining.from_dict(second.to_dict())
    assert config == second
