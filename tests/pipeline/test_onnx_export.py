"""Networks give the same numbers as ONNX files that were written byte by byte."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import WeightError
from pipeline.onnx_export import onnx_of
from pipeline.weights.loading import onnx_session

pytest.importorskip("onnxruntime", reason="ONNX Runtime comes with emohead[paper]")


class Several(nn.Module):
    """Every layer and function that can be written."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, (3, 5), (1, 2), (1, 2), groups=1)
        self.norm = nn.BatchNorm2d(4, eps=1e-3)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.near = nn.Upsample(scale_factor=2, mode="nearest")
        self.far = nn.Upsample(scale_factor=4, mode="bilinear", align_corners=True)
        self.soft = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Sigmoid()
        self.flat = nn.Flatten()
        self.full = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.conv(x)))
        small = self.pool(x)
        wide = torch.cat([self.far(small), self.soft(self.near(small)), self.near(x)], dim=1)
        wide = wide * self.gate(self.mean(wide)) + wide
        return self.full(self.flat(self.mean(wide + wide)))


def test_all_layers_agree_with_torch() -> None:
    torch.manual_seed(0)
    network = Several().eval()
    network.norm.running_mean = torch.randn(4)
    network.norm.running_var = torch.rand(4) + 0.5
    x = torch.randn(3, 3, 16, 32)
    with torch.no_grad():
        expected = network(x).numpy()
    session = onnx_session(onnx_of(network, (3, 16, 32), (5,)), threads=1)
    (found,) = session.run(None, {"input": x.numpy()})
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    (one,) = session.run(None, {"input": x[:1].numpy()})
    np.testing.assert_allclose(one, found[:1], rtol=1e-5)


def test_layers_that_have_no_place_are_named() -> None:
    with pytest.raises(WeightError, match="layer Tanh has no place"):
        onnx_of(nn.Sequential(nn.Tanh()), (3, 4, 4), (3, 4, 4))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(WeightError, match="cannot be read as ONNX"):
        onnx_session(b"nothing", threads=1)
