"""ResNet-50 (He et al., arXiv 1512.03385), with the tensor names PyTorch's own weights have.

The stride of a block is on its 3x3 convolution, as in those weights.
"""

from typing import Any

from torch import nn

BLOCKS = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Channels inside, blocks, of each of the four layers; four times as many channels come out."""


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up, over a shortcut."""

    def __init__(self, taken: int, inside: int, stride: int) -> None:
        """`taken` channels in, 4 x `inside` out."""
        super().__init__()
        made = 4 * inside
        self.conv1 = nn.Conv2d(taken, inside, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv2 = nn.Conv2d(inside, inside, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inside)
        self.conv3 = nn.Conv2d(inside, made, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(made)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride != 1 or taken != made:
            self.downsample = nn.Sequential(
                nn.Conv2d(taken, made, 1, stride, bias=False), nn.BatchNorm2d(made)
            )

    def forward(self, x: Any) -> Any:
        """[N, taken, H, W] to [N, 4 inside, H / stride, W / stride]."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.bn3(self.conv3(y)) + shortcut)


class ResNet50(nn.Module):
    """[N, 3, 224, 224] to [N, 2048]: without the classifier."""

    def __init__(self) -> None:
        """Make fresh weights."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        taken = 64
        for n, (inside, blocks) in enumerate(BLOCKS, start=1):
            layers = []
            for block in range(blocks):
                stride = 2 if n > 1 and block == 0 else 1
                layers.append(Bottleneck(taken, inside, stride))
                taken = 4 * inside
            setattr(self, f"layer{n}", nn.Sequential(*layers))

    def forward(self, x: Any) -> Any:
        """Mean over the last 7 x 7 places."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for n in range(1, len(BLOCKS) + 1):
            x = getattr(self, f"layer{n}")(x)
        return x.mean(dim=(2, 3))
