"""Codecs, the chain, configs, pretrained folders, pictures: each by hand or by a second route."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from render.diffusion.animate import Sampling, animate
from render.diffusion.checkpoint import load_portrait
from render.diffusion.codec import PixelCodec, to_bytes, to_signed
from render.diffusion.config import NetworkConfig, NoiseConfig, PortraitTraining
from render.diffusion.data import PortraitClip, PortraitData, moving_parts, shrink
from render.diffusion.noise import Chain
from render.diffusion.picture import cut_face, identity_picture
from render.diffusion.portrait import Portrait
from render.diffusion.trainer import train_portrait
from render.errors import ConfigError, PictureError, PortraitDataError, PortraitFolderError

Maker = Callable[..., PortraitClip]


@given(arrays(np.uint8, (2, 8, 8, 3)), st.sampled_from([1, 2, 4, 8]))
@settings(deadline=None, max_examples=25)
def test_pixels_come_back_exactly(frames: np.ndarray, block: int) -> None:
    codec = PixelCodec(block)
    places = codec.encode(to_signed(frames))
    assert places.shape == (2, codec.channels, 8 // block, 8 // block)
    np.testing.assert_array_equal(to_bytes(codec.decode(places)), frames)


def test_the_last_step_of_the_chain_is_noise_alone() -> None:
    chain = Chain(NoiseConfig())
    clean, noise = torch.ones(2, 3), torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    mixed = chain.noised(clean, noise, torch.tensor([999, 0]))
    assert torch.equal(mixed[0], noise[0])
    assert (mixed[1] - 1).abs().max() < 0.3


def test_a_shift_of_four_takes_twelve_decibels_of_every_step_but_the_last() -> None:
    plain, shifted = (Chain(NoiseConfig(shift=shift)) for shift in (1.0, 4.0))
    clean, step = torch.ones(3, 1), torch.tensor([100, 500, 999])
    kept = [chain.noised(clean, torch.zeros(3, 1), step)[:, 0] ** 2 for chain in (plain, shifted)]
    snr = [k / (1 - k) for k in kept]
    assert torch.allclose(10 * torch.log10(snr[0][:2] / snr[1][:2]), torch.tensor(12.04), atol=0.05)
    assert snr[1][2] == 0
    back = shifted.solver("dpm++", 10, clip=True)
    assert torch.allclose(back.alphas_cumprod[step[:2]], kept[1][:2], atol=1e-5)


def test_weights_of_both_predictions_weigh_the_clean_frame_alike() -> None:
    step = torch.tensor([5, 400, 800, 999])
    sample, v = Chain(NoiseConfig()), Chain(NoiseConfig(prediction="v_prediction"))
    kept = sample._scheduler.alphas_cumprod[step]
    snr = kept / (1 - kept)
    expected = [min(max(x, 1.0), 5.0) for x in snr.tolist()]
    assert expected[0] == 5
    assert expected[-1] == 1
    assert sample.weight(step).tolist() == pytest.approx(expected)
    # A wrong clean frame x + e is a v that is off by e sqrt(SNR + 1), the noisy frame being known.
    x, noise = torch.full((4, 1), 0.3), torch.full((4, 1), -0.7)
    a, b = kept.sqrt()[:, None], (1 - kept).sqrt()[:, None]
    noisy = sample.noised(x, noise, step)
    target = v.target(x, noise, step)
    torch.testing.assert_close(target, a * noise - b * x)
    torch.testing.assert_close(a * noisy - b * target, x, atol=1e-5, rtol=1e-4)
    error_v = 1.0
    error_x = (b[:, 0] * error_v) ** 2
    assert (v.weight(step) * error_v).tolist() == pytest.approx(
        (sample.weight(step) * error_x).tolist()
    )


def test_configs_survive_json_and_refuse_what_cannot_work() -> None:
    config = PortraitTraining(NetworkConfig(channels=(32, 64)), NoiseConfig(steps=50), steps=7)
    assert PortraitTraining.from_dict(config.to_dict()) == config
    with pytest.raises(ConfigError, match=r"unknown network setting\(s\) colour"):
        NetworkConfig.from_dict({"colour": 1})
    with pytest.raises(ConfigError, match="30 px are no multiple of 8"):
        NetworkConfig(size=30)
    with pytest.raises(ConfigError, match="20 channels are not divided by 16 groups"):
        NetworkConfig(channels=(20, 40))
    with pytest.raises(ConfigError, match="'latent' without an autoencoder"):
        NetworkConfig(space="latent")
    with pytest.raises(ConfigError, match=r"drop_audio = 2\.0"):
        PortraitTraining(drop_audio=2.0)
    with pytest.raises(ConfigError, match="snr_floor"):
        NoiseConfig(snr_floor=0.0)
    with pytest.raises(ConfigError, match="solver 'euler' is unknown"):
        Chain(NoiseConfig()).solver("euler", 4, True)


def test_expression_shows_on_brows_eyes_lips_and_a_little_around_them() -> None:
    labels = np.zeros((2, 40, 40), np.uint8)
    labels[0, 10:30, 10:30] = 1  # skin
    labels[0, 20, 20] = 11  # the mouth, one pixel: an ellipse of 5 x 5 around it
    labels[1] = 255  # nobody parsed it
    maps = moving_parts(labels, 40)
    assert (maps[0] == 255).sum() == 17
    assert (maps[0] == 64).sum() == 20 * 20 - 17
    assert maps[0, 20, 18:23].tolist() == [255] * 5
    assert maps[1].max() == 0
    np.testing.assert_array_equal(
        moving_parts(labels, 1).ravel(), [round((17 * 255 + 383 * 64) / 1600), 0]
    )


def test_frames_shrink_by_area_and_never_grow() -> None:
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    frames[0, :2, :2] = 100
    small = shrink(frames, 4)
    assert small.shape == (2, 4, 4, 3)
    assert small[0, 0, 0].tolist() == [100, 100, 100]
    assert small.sum() == 300
    assert shrink(frames, 8) is frames
    with pytest.raises(PortraitDataError, match="8 px cannot become 16 px"):
        shrink(frames, 16)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A UNet and an autoencoder in Stable Diffusion 1.5's format, tiny and random."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    base = tmp_path_factory.mktemp("sd")
    torch.manual_seed(3)
    UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, cross_attention_dim=24,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 32), layers_per_block=2, norm_num_groups=8, attention_head_dim=4,
    ).save_pretrained(base / "unet")  # fmt: skip
    blocks: dict[str, Any] = {  # the constructor's hints are tuples of one
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (8, 8, 8, 8),
    }
    AutoencoderKL(**blocks, norm_num_groups=4, latent_channels=4, sample_size=32).save_pretrained(
        base / "vae"
    )
    return base / "unet", base / "vae"


def test_weights_in_stable_diffusions_format_are_taken_and_trained(
    folders: tuple[Path, Path], make_clip: Maker, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    unet, vae = tmp_path / "unet", tmp_path / "vae"
    shutil.copytree(folders[0], unet)
    shutil.copytree(folders[1], vae)
    network = replace(
        NetworkConfig.paper_scale(str(unet), str(vae)), size=32, frames=3, heads=4, groups=8
    )
    weights = load_file(unet / "diffusion_pytorch_model.safetensors")
    clip = make_clip("red")
    model = Portrait(network, clip.audio.shape[1], clip.expression.shape[1])
    for branch in (model.unet, model.reference.unet):
        mine = branch.state_dict()
        taken = {name for name in weights if name in mine}
        assert taken == set(weights)
        assert all(torch.equal(mine[name], weights[name]) for name in weights)
    name = "diffusion_pytorch_model.safetensors"
    assert set(model.hashes) == {f"unet/{name}", f"vae/{name}"}

    config = PortraitTraining(network, steps=2, learning_rate=1e-3, warm_up=1)
    train_portrait(PortraitData((clip,)), config, tmp_path / "run")
    shutil.rmtree(unet)  # its weights are in the checkpoint now
    again = load_portrait(tmp_path / "run")
    frames = list(
        animate(
            again, config.noise, clip.frames[0], clip.audio[:4], clip.expression[:4], Sampling(2)
        )
    )
    assert np.concatenate(frames).shape == (4, 32, 32, 3)

    (vae / "diffusion_pytorch_model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    with pytest.raises((ConfigError, PortraitFolderError)):
        load_portrait(tmp_path / "run")


def test_folders_that_cannot_be_used_are_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    unet, _ = folders
    with pytest.raises(ConfigError, match=r"from 4 to 4 channels, pixel space has 48"):
        Portrait(NetworkConfig(unet=str(unet)), 2, 2)
    with pytest.raises(ConfigError, match=r"holds no config\.json"):
        Portrait(NetworkConfig(unet=str(tmp_path)), 2, 2)
    with pytest.raises(ConfigError, match="cannot be loaded as AutoencoderKL"):
        Portrait(NetworkConfig(space="latent", vae=str(unet)), 2, 2)


def test_a_picture_without_a_face_is_refused_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"no face was found; give one in which a single face"):
        cut_face(np.full((200, 300, 3), 127, np.uint8), 64)
    (tmp_path / "words.jpg").write_text("not a picture")
    with pytest.raises(PictureError, match=r"words\.jpg cannot be read as a picture"):
        identity_picture(tmp_path / "words.jpg", 64)


def test_real_pictures_one_face_none_three(shared_data: Path, tmp_path: Path) -> None:
    stills = shared_data / "real" / "stills"
    found = identity_picture(stills / "s0.jpg", 64)
    assert found.shape == (64, 64, 3)
    with pytest.raises(PictureError, match=r"s39\.jpg .* no face was found"):
        identity_picture(stills / "s39.jpg", 64)
    one = cv2.resize(np.asarray(Image.open(stills / "s0.jpg").convert("RGB")), (256, 256))
    Image.fromarray(np.hstack([one] * 3)).save(tmp_path / "three.png")
    with pytest.raises(PictureError, match="3 faces were found; cut out the one that is meant"):
        identity_picture(tmp_path / "three.png", 64)
