"""BiSeNet (V1, Yu et al., ECCV 2018) for faces: 19 classes at 512x512, ResNet-18 as context path.

Written anew from the paper, with the layer names of the published weights `79999_iter.pth`
(https://github.com/zllrunning/face-parsing.PyTorch/blob/b9a12fee0ca83d0b95e535cef0f2ed0c643694f1/model.py).
There the spatial path is the third stage of the ResNet, and two further heads serve training only.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.weights.loading import fill, torch_state

SIDE = 512
CLASSES = 19


class ConvNormRelu(nn.Module):
    """Convolution, normalisation, rectifier."""

    def __init__(self, taken: int, made: int, kernel: int = 3) -> None:
        """Keeps the picture's size."""
        super().__init__()
        self.conv = nn.Conv2d(taken, made, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(made)
        self.relu = nn.ReLU()

    def forward(self, x: Any) -> Any:
        """[N, taken, H, W] to [N, made, H, W]."""
        return self.relu(self.bn(self.conv(x)))


class Residual(nn.Module):
    """ResNet's basic block (He et al., CVPR 2016)."""

    def __init__(self, taken: int, made: int, stride: int) -> None:
        """`stride` 2 halves the picture."""
        super().__init__()
        self.conv1 = nn.Conv2d(taken, made, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(made)
        self.conv2 = nn.Conv2d(made, made, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(made)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride != 1 or taken != made:
            self.downsample = nn.Sequential(
                nn.Conv2d(taken, made, 1, stride, bias=False), nn.BatchNorm2d(made)
            )

    def forward(self, x: Any) -> Any:
        """[N, taken, H, W] to [N, made, H / stride, W / stride]."""
        change = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        kept = x if self.downsample is None else self.downsample(x)
        return self.relu(kept + change)


class ResNet18(nn.Module):
    """The three last stages of a ResNet-18."""

    def __init__(self) -> None:
        """Without its classifier."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(Residual(64, 64, 1), Residual(64, 64, 1))
        self.layer2 = nn.Sequential(Residual(64, 128, 2), Residual(128, 128, 1))
        self.layer3 = nn.Sequential(Residual(128, 256, 2), Residual(256, 256, 1))
        self.layer4 = nn.Sequential(Residual(256, 512, 2), Residual(512, 512, 1))

    def forward(self, x: Any) -> Any:
        """Pictures to features at 1/8, 1/16 and 1/32 of their size."""
        x = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        eighth = self.layer2(x)
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


class Refinement(nn.Module):
    """Attention refinement: channels weighted by what the whole picture shows."""

    def __init__(self, taken: int, made: int) -> None:
        """`made` channels out."""
        super().__init__()
        self.conv = ConvNormRelu(taken, made)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv_atten = nn.Conv2d(made, made, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(made)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Any) -> Any:
        """[N, taken, H, W] to [N, made, H, W]."""
        features = self.conv(x)
        weight = self.sigmoid(self.bn_atten(self.conv_atten(self.pool(features))))
        return features * weight


class ContextPath(nn.Module):
    """What surrounds a pixel, from far to near."""

    def __init__(self) -> None:
        """ResNet-18 and two refinements."""
        super().__init__()
        self.resnet = ResNet18()
        self.arm16 = Refinement(256, 128)
        self.arm32 = Refinement(512, 128)
        self.conv_head32 = ConvNormRelu(128, 128)
        self.conv_head16 = ConvNormRelu(128, 128)
        self.conv_avg = ConvNormRelu(512, 128, kernel=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.twice = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, x: Any) -> Any:
        """Pictures to the ResNet's features and the context, both at 1/8."""
        eighth, sixteenth, last = self.resnet(x)
        whole = self.conv_avg(self.pool(last))
        far = self.conv_head32(self.twice(self.arm32(last) + whole))
        near = self.conv_head16(self.twice(self.arm16(sixteenth) + far))
        return eighth, near


class Fusion(nn.Module):
    """Spatial and context features joined, channels weighted by the whole picture."""

    def __init__(self, taken: int, made: int) -> None:
        """`made` channels out."""
        super().__init__()
        self.convblk = ConvNormRelu(taken, made, kernel=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = nn.Conv2d(made, made // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(made // 4, made, 1, bias=False)
        self.relu = nn.ReLU()
        self.sigmoid = nn.Sigmoid()

    def forward(self, spatial: Any, context: Any) -> Any:
        """Two maps of the same size to one."""
        joined = self.convblk(torch.cat([spatial, context], dim=1))
        weight = self.sigmoid(self.conv2(self.relu(self.conv1(self.pool(joined)))))
        return joined * weight + joined


class Head(nn.Module):
    """A score for each class."""

    def __init__(self, taken: int, between: int) -> None:
        """`between` channels before the scores."""
        super().__init__()
        self.conv = ConvNormRelu(taken, between)
        self.conv_out = nn.Conv2d(between, CLASSES, 1, bias=False)

    def forward(self, x: Any) -> Any:
        """[N, taken, H, W] to [N, 19, H, W]."""
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """[N, 3, 512, 512] normalised RGB to [N, 19, 512, 512] class scores."""

    def __init__(self) -> None:
        """Without the two heads that serve training only."""
        super().__init__()
        self.cp = ContextPath()
        self.ffm = Fusion(256, 256)
        self.conv_out = Head(256, 256)
        self.full = nn.Upsample(scale_factor=8, mode="bilinear", align_corners=True)

    def forward(self, x: Any) -> Any:
        """Class scores of every pixel."""
        spatial, context = self.cp(x)
        return self.full(self.conv_out(self.ffm(spatial, context)))


def parser(path: Path) -> BiSeNet:
    """The network of a published `.pth`, in evaluation mode.

    Raises:
        WeightError: a file that holds another network.
    """
    state = torch_state(path)
    training_only = ("conv_out16.", "conv_out32.")
    kept = {key: value for key, value in state.items() if not key.startswith(training_only)}
    network = BiSeNet()
    fill(network, kept, path.name)
    return network.eval()
