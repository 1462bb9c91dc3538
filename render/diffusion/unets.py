"""The two UNets: a denoiser with layers over time, and the reference branch's, of one origin."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import MotionAdapter, UNetMotionModel
from torch import nn

from render.diffusion.codec import load_pretrained, weight_hashes
from render.diffusion.config import NetworkConfig
from render.errors import ConfigError


class Unets(NamedTuple):
    """Fresh networks."""

    denoiser: UNetMotionModel
    reference: UNet2DConditionModel
    token_width: int
    """Channels that their cross-attention reads."""
    hashes: dict[str, str]
    """sha256 of the weights they started from; empty where those are random."""


def make_unets(
    config: NetworkConfig, channels: int, sizes: Mapping[str, Any] | None = None
) -> Unets:
    """Make both from one two-dimensional UNet; layers over time start as the identity.

    Args:
        config: sizes, or the folder of a UNet.
        channels: of a place of what is diffused.
        sizes: diffusers' config of the UNet as a checkpoint keeps it: its weights follow, so
            nothing is read from the folder, which may be gone.

    Raises:
        ConfigError: the folder cannot be used, or its UNet is for other channels.
    """
    hashes: dict[str, str] = {}
    flat: Any  # diffusers says that a model may come as a tuple
    if sizes is not None:
        flat = UNet2DConditionModel.from_config(dict(sizes))
    elif config.unet is None:
        flat = _fresh(config, channels)
    else:
        folder = Path(config.unet)
        flat = load_pretrained(UNet2DConditionModel, folder)
        hashes = weight_hashes(folder, "unet")
        if flat.config["in_channels"] != channels or flat.config["out_channels"] != channels:
            raise ConfigError(
                f"portrait: {folder} is a UNet from {flat.config['in_channels']} to "
                f"{flat.config['out_channels']} channels, {config.space} space has {channels}; "
                "take a UNet and an autoencoder that belong together"
            )
    adapter = MotionAdapter(
        block_out_channels=tuple(flat.config["block_out_channels"]),
        motion_layers_per_block=flat.config["layers_per_block"],
        motion_num_attention_heads=config.heads,
        motion_norm_num_groups=flat.config["norm_num_groups"],
        motion_max_seq_length=config.frames + config.motion_frames,
    )
    with _no_false_alarm():
        denoiser: Any = UNetMotionModel.from_unet2d(flat, adapter)
    for name, module in denoiser.named_modules():
        if ".motion_modules." in name and name.endswith(".proj_out"):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return Unets(denoiser, flat, int(flat.config["cross_attention_dim"]), hashes)


def _fresh(config: NetworkConfig, channels: int) -> UNet2DConditionModel:
    levels = len(config.channels)
    unet = UNet2DConditionModel(
        sample_size=config.size // config.block,
        in_channels=channels,
        out_channels=channels,
        down_block_types=("CrossAttnDownBlock2D",) * levels,
        up_block_types=("CrossAttnUpBlock2D",) * levels,
        block_out_channels=config.channels,
        layers_per_block=config.layers,
        norm_num_groups=config.groups,
        cross_attention_dim=config.token_width,
        attention_head_dim=config.heads,  # diffusers' old name: the number of heads
    )
    with torch.no_grad():  # the first guess is the mean frame, not noise
        nn.init.zeros_(unet.conv_out.weight)
    return unet


@contextmanager
def _no_false_alarm() -> Iterator[None]:
    """diffusers 0.42 warns of an empty list of modules to keep in float32."""
    logger = logging.getLogger("diffusers.models.modeling_utils")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
