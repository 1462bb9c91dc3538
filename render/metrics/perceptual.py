"""LPIPS: distance of two pictures as AlexNet sees them.

R. Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", 2018. The
heads (version 0.1) lie in the wheel of torchmetrics; AlexNet's own weights are the user's to bring.
torchmetrics' own class builds AlexNet from torchvision, which emohead does not depend on.
"""

import importlib.util
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import nn

from pipeline.weights import Shelf
from pipeline.weights.loading import torch_state
from render.errors import MetricError
from render.metrics.loading import fill_counted, shelved, state_of

SMALLEST = 64
"""Pixels a side: below, AlexNet's fifth layer has nothing left to see."""
_CHANNELS = (64, 192, 384, 256, 256)
_AFTER_RELU = (1, 4, 7, 9, 11)
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class Lpips(nn.Module):
    """AlexNet's five layers under five heads. Keys `features.*` are torchvision's."""

    shift: torch.Tensor
    scale: torch.Tensor

    def __init__(self) -> None:
        """Random layers; heads come with `load_lpips`."""
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )
        self.heads = nn.ParameterList([torch.zeros(1, c, 1, 1) for c in _CHANNELS])
        self.register_buffer("shift", torch.tensor(_SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE)[:, None, None], persistent=False)

    def forward(
        self, a: Float[torch.Tensor, "n 3 h w"], b: Float[torch.Tensor, "n 3 h w"]
    ) -> Float[torch.Tensor, " n"]:
        """Distance of each pair of pictures in [-1, 1]."""
        total = torch.zeros(len(a))
        for head, x, y in zip(self.heads, self._layers(a), self._layers(b), strict=True):
            apart = (_unit(x) - _unit(y)) ** 2
            total = total + (apart * head).sum(1).mean((1, 2))
        return total

    def _layers(self, picture: torch.Tensor) -> list[torch.Tensor]:
        x = (picture - self.shift) / self.scale
        out = []
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in _AFTER_RELU:
                out.append(x)
        return out


def _unit(x: torch.Tensor) -> torch.Tensor:
    """Each pixel's channels to length one."""
    return x / torch.sqrt(1e-8 + (x**2).sum(1, keepdim=True))


def lpips_heads() -> dict[str, torch.Tensor]:
    """`lin0` ... `lin4` of version 0.1, out of torchmetrics' wheel.

    Raises:
        MetricError: torchmetrics is not installed, or lacks the file.
    """
    spec = importlib.util.find_spec("torchmetrics")
    origin = spec.origin if spec else None
    path = Path(origin or "").parent / "functional/image/lpips_models/alex.pth"
    if not path.is_file():
        raise MetricError("LPIPS' heads are not there: `pip install 'torchmetrics>=1.6'`")
    return torch_state(path)


def load_lpips(shelf: Shelf) -> tuple[Lpips, str]:
    """The network, and its hash for the record.

    Raises:
        MetricError: the weights are not there.
        WeightError: a file of another network.
    """
    folder, told = shelved(shelf, "alexnet", "alexnet")
    state = state_of(folder, "alexnet-owt-*.pth")
    layers = {key: value for key, value in state.items() if key.startswith("features.")}
    heads = {f"heads.{i}": lpips_heads()[f"lin{i}.model.1.weight"] for i in range(5)}
    network = Lpips()
    fill_counted(network, layers | heads, "alexnet")
    return network, told


def lpips(
    network: Lpips, image: UInt8[np.ndarray, "h w 3"], truth: UInt8[np.ndarray, "h w 3"]
) -> float:
    """Distance of two frames.

    Raises:
        MetricError: pictures too small for AlexNet.
    """
    if min(image.shape[:2]) < SMALLEST:
        raise MetricError(
            f"LPIPS: pictures of {image.shape[1]}x{image.shape[0]} px; at least {SMALLEST} a side"
        )
    pair = [
        torch.from_numpy(np.ascontiguousarray(x)).permute(2, 0, 1)[None].float() / 127.5 - 1
        for x in (image, truth)
    ]
    with torch.inference_mode():
        return float(network(*pair)[0])
