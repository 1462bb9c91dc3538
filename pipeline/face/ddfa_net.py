"""The regressor of 3DDFA_V2: a MobileNet-V1 from a 120x120 face to 62 whitened parameters.

Written anew after Howard et al., arXiv 1704.04861, with the layer names of the published weights
(https://github.com/cleardusk/3DDFA_V2/blob/1b6c67601abffc1e9f248b291708aef0e43b55ae/models/mobilenet_v1.py);
the original cannot be imported without switching gradients off for the whole process. This one is a
module like any other: a loss may send gradients through it.
"""

from pathlib import Path
from typing import Any

from torch import nn

from pipeline.errors import WeightError
from pipeline.face.ddfa_params import PARAMETERS
from pipeline.weights.loading import fill, torch_state

_BLOCKS = (
    *(("dw2_1", 64, 1), ("dw2_2", 128, 2), ("dw3_1", 128, 1), ("dw3_2", 256, 2)),
    *(("dw4_1", 256, 1), ("dw4_2", 512, 2)),
    *((f"dw5_{i}", 512, 1) for i in range(1, 6)),
    *(("dw5_6", 1024, 2), ("dw6", 1024, 1)),
)
"""Name, channels out at width 1, stride."""


class Separable(nn.Module):
    """A depthwise and a pointwise convolution, each with its normalisation."""

    def __init__(self, taken: int, made: int, stride: int) -> None:
        """`taken` channels in, `made` out."""
        super().__init__()
        self.conv_dw = nn.Conv2d(taken, taken, 3, stride, 1, groups=taken, bias=False)
        self.bn_dw = nn.BatchNorm2d(taken)
        self.conv_sep = nn.Conv2d(taken, made, 1, bias=False)
        self.bn_sep = nn.BatchNorm2d(made)
        self.relu = nn.ReLU()

    def forward(self, x: Any) -> Any:  # a tensor, or what traces the network
        """[N, taken, H, W] to [N, made, H / stride, W / stride]."""
        x = self.relu(self.bn_dw(self.conv_dw(x)))
        return self.relu(self.bn_sep(self.conv_sep(x)))


class MobileNet(nn.Module):
    """[N, 3, 120, 120] BGR, (x - 127.5) / 128, to [N, 62] whitened parameters."""

    def __init__(self, width: float = 1.0) -> None:
        """`width` times the channels of the paper: 1 (mb1) or 0.5 (mb05)."""
        super().__init__()
        channels = int(32 * width)
        self.conv1 = nn.Conv2d(3, channels, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        for name, wide, stride in _BLOCKS:
            made = int(wide * width)
            setattr(self, name, Separable(channels, made, stride))
            channels = made
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self.fc = nn.Linear(channels, PARAMETERS)

    def forward(self, x: Any) -> Any:  # a tensor, or what traces the network
        """The parameters, still in units of their standard deviations."""
        x = self.relu(self.bn1(self.conv1(x)))
        for name, _, _ in _BLOCKS:
            x = getattr(self, name)(x)
        return self.fc(self.flat(self.avgpool(x)))


def regressor(path: Path) -> MobileNet:
    """The network of a published `.pth`, in evaluation mode; its width is that of the file.

    Raises:
        WeightError: a file that holds another network.
    """
    state = parameters_of(torch_state(path), path.name)
    network = MobileNet(state["conv1.weight"].shape[0] / 32)
    fill(network, state, path.name)
    return network.eval()


def parameters_of(state: dict[str, Any], where: str) -> dict[str, Any]:
    """The regressor's own tensors: `fc_param` is its head, `fc_lm` served training only."""
    if "conv1.weight" not in state:
        raise WeightError(f"{where} has no conv1.weight; it holds {', '.join(list(state)[:3])}")
    kept = {key: value for key, value in state.items() if not key.startswith("fc_lm.")}
    return {key.replace("fc_param.", "fc."): value for key, value in kept.items()}
