"""From frames to what is diffused, and back: blocks of pixels, or an autoencoder's latents."""

import json
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional

from pipeline.encoder import sha256_of
from render.diffusion.config import NetworkConfig
from render.errors import ConfigError

Model = TypeVar("Model")


@runtime_checkable
class Codec(Protocol):
    """Frames in [-1, 1] to places with channels, and back."""

    channels: int
    """Channels of a place."""
    step: int
    """Pixels from one place to the next."""
    hashes: dict[str, str]
    """sha256 of the weights by file name; empty where there are none."""

    def encode(self, frames: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        """To be diffused."""
        ...

    def decode(self, places: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 s s"]:
        """Back to frames."""
        ...

    def weigh(self, pixels: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n d h w"]:
        """Weights of pixels as weights of places, for all channels (d = c) or each place."""
        ...


class PixelCodec:
    """Space to depth: nothing is lost, and attention runs over block² times fewer places."""

    def __init__(self, block: int) -> None:
        """block: pixels along one side."""
        self.block = self.step = block
        self.channels = 3 * block * block
        self.hashes: dict[str, str] = {}

    def encode(self, frames: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        """Blocks of pixels to channels."""
        return functional.pixel_unshuffle(frames, self.block)

    def decode(self, places: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 s s"]:
        """Channels to blocks of pixels."""
        return functional.pixel_shuffle(places, self.block)

    def weigh(self, pixels: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n d h w"]:
        """Each pixel's own."""
        return self.encode(pixels.expand(-1, 3, -1, -1))


class LatentCodec:
    """An AutoencoderKL of diffusers (Stable Diffusion's), frozen. Encoding takes the mean."""

    def __init__(self, folder: Path) -> None:
        """Load the folder.

        Raises:
            ConfigError: it is not there or not in diffusers' format with safetensors.
        """
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

        self.hashes = weight_hashes(folder, "vae")
        # diffusers' decorated methods and outputs have no types a checker can follow.
        self._vae: Any = load_pretrained(AutoencoderKL, folder).eval().requires_grad_(False)
        self.channels = int(self._vae.config["latent_channels"])
        self.step = 2 ** (len(self._vae.config["block_out_channels"]) - 1)
        self._scale = float(self._vae.config["scaling_factor"])

    @torch.no_grad()
    def encode(self, frames: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        """Means of the latents, scaled to about unit variance."""
        vae = self._vae.to(frames.device)
        return vae.encode(frames).latent_dist.mode() * self._scale

    @torch.no_grad()
    def decode(self, places: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 s s"]:
        """Frames, one by one: a 512² frame takes gigabytes."""
        vae = self._vae.to(places.device)
        return torch.cat([vae.decode(place[None] / self._scale).sample for place in places])

    def weigh(self, pixels: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n d h w"]:
        """The mean over the pixels of a place."""
        return functional.avg_pool2d(pixels, self.step)


def codec_of(config: NetworkConfig) -> Codec:
    """The codec that the config names.

    Raises:
        ConfigError: the autoencoder's folder cannot be used.
    """
    if config.space == "pixel":
        return PixelCodec(config.block)
    return LatentCodec(Path(config.vae or ""))


def to_signed(frames: UInt8[np.ndarray, "... s s 3"]) -> Float[Tensor, "... 3 s s"]:
    """0-255 to [-1, 1], channels first."""
    tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(frames, -1, -3)))
    return tensor.float().div_(127.5).sub_(1)


def to_bytes(frames: Float[Tensor, "... 3 s s"]) -> UInt8[np.ndarray, "... s s 3"]:
    """[-1, 1] to 0-255, rounded; what lies beyond is the brightest or darkest there is."""
    values = frames.detach().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(np.moveaxis(values.cpu().numpy(), -3, -1))


def load_pretrained(cls: type[Model], folder: Path) -> Model:
    """A diffusers model out of a local folder, safetensors only.

    Raises:
        ConfigError: no such folder, or diffusers cannot read it; says why.
    """
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"portrait: {folder} holds no config.json; give the folder of one diffusers model, "
            "e.g. .../stable-diffusion-v1-5/unet"
        )
    try:
        kind = json.loads((folder / "config.json").read_text("utf-8")).get("_class_name")
        if kind != cls.__name__:
            raise ValueError(f"its config.json is of a {kind}")
        model, report = cls.from_pretrained(  # type: ignore[attr-defined]
            folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False,
            output_loading_info=True,
        )  # fmt: skip
        if missing := report["missing_keys"]:  # diffusers would leave them random
            raise ValueError(f"{len(missing)} weights are missing, e.g. {missing[0]}")
    except (OSError, RuntimeError, TypeError, ValueError, LookupError, SafetensorError) as error:
        raise ConfigError(
            f"portrait: {folder} cannot be loaded as {cls.__name__} ({error}); weights must be "
            "safetensors in diffusers' format"
        ) from error
    return model


def weight_hashes(folder: Path, part: str) -> dict[str, str]:
    """sha256 of the safetensors files of a folder, as `part/name`."""
    files = sorted(folder.glob("*.safetensors"))
    return {f"{part}/{path.name}": sha256_of(path) for path in files}
