"""Inception-v3 as FID uses it: the TensorFlow weights in PyTorch, `pt_inception-2015-12-05`.

Keys are torchvision's, with 1008 classes and without the auxiliary head; pooling differs from
torchvision's as mseitzer/pytorch-fid explains (inception.py): averages leave the border out, and
the last block takes the maximum.
"""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import nn
from torch.nn import functional

from pipeline.weights import Shelf
from render.metrics.loading import fill_counted, shelved, state_of

SIDE = 299
FEATURES = 2048


class Conv(nn.Module):
    """Convolution, normalisation, ReLU."""

    def __init__(self, inside: int, out: int, size: int | tuple[int, int], **how: object) -> None:
        """As nn.Conv2d, without bias."""
        super().__init__()
        self.conv = nn.Conv2d(inside, out, size, bias=False, **how)  # type: ignore[arg-type]
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One layer."""
        return functional.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Parallel branches whose results are laid beside each other.

    `branches` names the layers of each; a tuple inside a branch splits it in two at its end.
    """

    def __init__(
        self,
        layers: dict[str, Conv],
        branches: tuple[tuple[str | tuple[str, ...], ...], ...],
        pool: str,
    ) -> None:
        """pool: `average` or `maximum` in front of `branch_pool`, or `shrink` as a branch alone."""
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._branches, self._pool = branches, pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All branches."""
        out = []
        for branch in self._branches:
            y = x
            for step in branch:
                if isinstance(step, tuple):
                    y = torch.cat([self.get_submodule(name)(y) for name in step], 1)
                else:
                    y = self.get_submodule(step)(y)
            out.append(y)
        if self._pool == "shrink":
            out.append(functional.max_pool2d(x, 3, 2))
        else:
            pooled = (
                functional.max_pool2d(x, 3, 1, 1)
                if self._pool == "maximum"
                else functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
            )
            out.append(self.get_submodule("branch_pool")(pooled))
        return torch.cat(out, 1)


_WIDE, _TALL = ((1, 7), (0, 3)), ((7, 1), (3, 0))


def _line(inside: int, out: int, wide: bool) -> Conv:
    size, padding = _WIDE if wide else _TALL
    return Conv(inside, out, size, padding=padding)


def _a(inside: int, pooled: int) -> Block:
    layers = {
        "branch1x1": Conv(inside, 64, 1),
        "branch5x5_1": Conv(inside, 48, 1),
        "branch5x5_2": Conv(48, 64, 5, padding=2),
        "branch3x3dbl_1": Conv(inside, 64, 1),
        "branch3x3dbl_2": Conv(64, 96, 3, padding=1),
        "branch3x3dbl_3": Conv(96, 96, 3, padding=1),
        "branch_pool": Conv(inside, pooled, 1),
    }
    rows = (
        ("branch1x1",),
        ("branch5x5_1", "branch5x5_2"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
    )
    return Block(layers, rows, "average")


def _b(inside: int) -> Block:
    layers = {
        "branch3x3": Conv(inside, 384, 3, stride=2),
        "branch3x3dbl_1": Conv(inside, 64, 1),
        "branch3x3dbl_2": Conv(64, 96, 3, padding=1),
        "branch3x3dbl_3": Conv(96, 96, 3, stride=2),
    }
    rows = (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"))
    return Block(layers, rows, "shrink")


def _c(inside: int, c: int) -> Block:
    layers = {
        "branch1x1": Conv(inside, 192, 1),
        "branch7x7_1": Conv(inside, c, 1),
        "branch7x7_2": _line(c, c, True),
        "branch7x7_3": _line(c, 192, False),
        "branch7x7dbl_1": Conv(inside, c, 1),
        "branch7x7dbl_2": _line(c, c, False),
        "branch7x7dbl_3": _line(c, c, True),
        "branch7x7dbl_4": _line(c, c, False),
        "branch7x7dbl_5": _line(c, 192, True),
        "branch_pool": Conv(inside, 192, 1),
    }
    rows = (
        ("branch1x1",),
        ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
        tuple(f"branch7x7dbl_{i}" for i in range(1, 6)),
    )
    return Block(layers, rows, "average")


def _d(inside: int) -> Block:
    layers = {
        "branch3x3_1": Conv(inside, 192, 1),
        "branch3x3_2": Conv(192, 320, 3, stride=2),
        "branch7x7x3_1": Conv(inside, 192, 1),
        "branch7x7x3_2": _line(192, 192, True),
        "branch7x7x3_3": _line(192, 192, False),
        "branch7x7x3_4": Conv(192, 192, 3, stride=2),
    }
    rows = (("branch3x3_1", "branch3x3_2"), tuple(f"branch7x7x3_{i}" for i in range(1, 5)))
    return Block(layers, rows, "shrink")


def _e(inside: int, pool: str) -> Block:
    layers = {
        "branch1x1": Conv(inside, 320, 1),
        "branch3x3_1": Conv(inside, 384, 1),
        "branch3x3_2a": Conv(384, 384, (1, 3), padding=(0, 1)),
        "branch3x3_2b": Conv(384, 384, (3, 1), padding=(1, 0)),
        "branch3x3dbl_1": Conv(inside, 448, 1),
        "branch3x3dbl_2": Conv(448, 384, 3, padding=1),
        "branch3x3dbl_3a": Conv(384, 384, (1, 3), padding=(0, 1)),
        "branch3x3dbl_3b": Conv(384, 384, (3, 1), padding=(1, 0)),
        "branch_pool": Conv(inside, 192, 1),
    }
    rows = (
        ("branch1x1",),
        ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
        ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
    )
    return Block(layers, rows, pool)


class Inception(nn.Module):
    """Pictures in [-1, 1], 299 px, to 2048 numbers each."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3)
        self.Mixed_5b = _a(192, 32)
        self.Mixed_5c = _a(256, 64)
        self.Mixed_5d = _a(288, 64)
        self.Mixed_6a = _b(288)
        self.Mixed_6b = _c(768, 128)
        self.Mixed_6c = _c(768, 160)
        self.Mixed_6d = _c(768, 160)
        self.Mixed_6e = _c(768, 192)
        self.Mixed_7a = _d(768)
        self.Mixed_7b = _e(1280, "average")
        self.Mixed_7c = _e(2048, "maximum")
        self.fc = nn.Linear(FEATURES, 1008)

    def forward(self, x: Float[torch.Tensor, "n 3 299 299"]) -> Float[torch.Tensor, "n 2048"]:
        """Mean over the last map."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(functional.max_pool2d(x, 3, 2)))
        x = functional.max_pool2d(x, 3, 2)
        for block in (self.Mixed_5b, self.Mixed_5c, self.Mixed_5d, self.Mixed_6a):
            x = block(x)
        for block in (self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e):
            x = block(x)
        for block in (self.Mixed_7a, self.Mixed_7b, self.Mixed_7c):
            x = block(x)
        return x.mean((2, 3))


def load_inception(shelf: Shelf) -> tuple[Inception, str]:
    """The network, and its hash for the record.

    Raises:
        MetricError: the weights are not there.
        WeightError: a file of another network.
    """
    folder, told = shelved(shelf, "fid_inception", "fid_inception")
    network = Inception()
    fill_counted(network, state_of(folder, "*inception-2015-12-05*.pth"), "fid_inception")
    return network, told


def features(
    network: Inception, frames: UInt8[np.ndarray, "n h w 3"]
) -> Float[np.ndarray, "n 2048"]:
    """Features of some frames, scaled bilinearly to 299 px as pytorch-fid does."""
    x = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255
    x = functional.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        return network(2 * x - 1).numpy()
