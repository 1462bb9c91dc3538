"""Small talking discs: what a tiny portrait model can learn in seconds."""

from collections.abc import Callable

import numpy as np
import pytest

from render.diffusion.config import NetworkConfig
from render.diffusion.data import PortraitClip

COLOURS = {"red": (200, 80, 60), "blue": (60, 90, 210)}
SIZE, AUDIO, K = 32, 6, 3


def _clip(
    identity: str = "red", frames: int = 24, seed: int = 0, emotion: str = ""
) -> PortraitClip:
    """A disc in the person's colour; its mouth opens by α[0], its place follows the sound.

    Two people of one seed say and show the same: only the picture tells who it is.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(frames)
    alpha = rng.normal(size=(frames, K)).astype(np.float32)
    alpha[:, 0] = np.sin(time * 0.9 + seed)
    audio = rng.normal(size=(frames, AUDIO)).astype(np.float32)
    audio[:, 0] = np.sin(time * 0.31 + seed)
    pictures = np.full((frames, SIZE, SIZE, 3), 30, np.uint8)
    y, x = np.mgrid[:SIZE, :SIZE]
    for picture, opening, place in zip(pictures, alpha[:, 0], audio[:, 0], strict=True):
        centre = SIZE / 2 + 4 * place
        picture[(x - centre) ** 2 + (y - SIZE / 2) ** 2 < 120] = COLOURS[identity]
        height = 1 + 3 * (opening + 1)
        picture[(abs(x - centre) < 5) & (abs(y - 19) < height)] = (10, 10, 10)
    return PortraitClip(f"{identity}{seed}", identity, emotion, pictures, audio, alpha)


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., PortraitClip]:
    """Clips by identity, frames, seed, emotion."""
    return _clip


@pytest.fixture(scope="session")
def tiny() -> NetworkConfig:
    """Sizes for seconds."""
    return NetworkConfig(
        size=SIZE, block=4, channels=(16, 32), heads=2, groups=8, token_width=32, frames=4,
        motion_frames=2, audio_margin=1, expression_tokens=2,
    )  # fmt: skip
