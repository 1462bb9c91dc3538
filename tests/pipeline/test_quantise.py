"""Networks in 8 bits: steps by hand, both run times, the same numbers where all fits the steps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.encoder import ClipInputs
from pipeline.errors import WeightError
from pipeline.face import bisenet, bisenet_int8
from pipeline.face.bisenet_net import BiSeNet
from pipeline.onnx_export import onnx_of
from pipeline.quantise import (
    WEIGHT_LEVELS,
    activation_ranges,
    activation_steps,
    folded,
    read_by_convolutions,
    weight_steps,
)
from pipeline.weights import Shelf

pytest.importorskip("onnxruntime", reason="ONNX Runtime comes with emohead[paper]")
pytest.importorskip("openvino", reason="OpenVINO comes with emohead[paper]")

RUNTIMES: tuple[bisenet.Runtime, ...] = ("onnxruntime", "openvino")


class Small(nn.Module):
    """Convolutions over maps, one over a pooled value, a sum of two branches."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(x + self.bn2(self.conv2(x)))
        return self.last(x * self.gate(self.pool(x)))


@pytest.fixture(scope="module")
def small() -> Small:
    torch.manual_seed(0)
    network = Small().eval()
    for norm in (network.bn1, network.bn2):
        norm.running_mean = torch.randn(8) * 0.1
        norm.running_var = torch.rand(8) + 0.5
    return network


def test_steps_by_hand() -> None:
    assert activation_steps((0.0, 2.55)) == (pytest.approx(0.01), 0)
    assert activation_steps((-1.0, 1.55)) == (pytest.approx(0.01), 100)
    weight = np.array([[[[0.63, -0.315]]], [[[0.0, 6.3]]]], np.float32)
    integers, scale = weight_steps(weight)
    np.testing.assert_array_equal(integers, [[[[63, -32]]], [[[0, 63]]]])  # 31.5 goes to even
    np.testing.assert_allclose(scale, [0.01, 0.1], rtol=1e-6)
    # two products of a byte and a weight fit into 16 bits: no processor saturates
    assert 2 * 255 * WEIGHT_LEVELS <= 2**15 - 1


def test_folding_changes_nothing_and_leaves_no_normalisation(small: Small) -> None:
    whole = folded(small)
    x = torch.randn(2, 3, 12, 12)
    with torch.no_grad():
        np.testing.assert_allclose(whole(x), small(x), atol=2e-6)
    assert not any("bn" in str(node.target) for node in whole.graph.nodes)


def test_ranges_are_those_of_maps_that_convolutions_read(small: Small) -> None:
    whole = folded(small)
    assert read_by_convolutions(whole) == {"x", "relu", "mul"}  # the gate reads one value a map
    assert read_by_convolutions(whole, keep=("last",)) == {"x", "relu"}
    pictures = [np.full((1, 3, 4, 4), value, np.float32) for value in (2.0, 4.0)]
    ranges = activation_ranges(whole, pictures)
    assert ranges["x"] == (0.0, 3.0)  # the mean of the largest; zero is always inside
    with pytest.raises(WeightError, match="need pictures"):
        activation_ranges(whole, [])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_fits_the_steps_is_exact(runtime: bisenet.Runtime) -> None:
    rng = np.random.default_rng(0)
    layer = nn.Conv2d(3, 4, 3, padding=1)
    assert layer.bias is not None
    network = nn.Sequential(layer)
    integers = rng.integers(-WEIGHT_LEVELS, WEIGHT_LEVELS + 1, (4, 3, 3, 3))
    integers[:, 0, 0, 0] = WEIGHT_LEVELS  # so that the scale is the one meant
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(integers / 64))
        layer.bias.copy_(torch.tensor([0.5, -1.0, 0.0, 2.0]))
    x = (rng.integers(0, 256, (1, 3, 6, 6)) / 128).astype(np.float32)
    whole = folded(network)
    written = onnx_of(whole, (3, 6, 6), (4, 6, 6), {"input_1": (0.0, 255 / 128)})
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()
    # all extremes at once would saturate 16 bits, were weights of 8 bits: 255 * 127 * 2
    np.testing.assert_allclose(bisenet.runner(written, runtime)(x), expected, atol=1e-4)
    assert len(written) < 2_000


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_network_in_8_bits_stays_near_itself(small: Small, runtime: bisenet.Runtime) -> None:
    rng = np.random.default_rng(1)
    pictures = [rng.normal(size=(1, 3, 16, 16)).astype(np.float32) for _ in range(4)]
    whole = folded(small)
    ranges = activation_ranges(whole, pictures, keep=("last",))
    run = bisenet.runner(onnx_of(whole, (3, 16, 16), (4, 16, 16), ranges), runtime)
    with torch.no_grad():
        expected = small(torch.from_numpy(pictures[0])).numpy()
    found = run(pictures[0])
    off = np.abs(found - expected).max() / np.abs(expected).max()
    assert 1e-4 < off < 0.05  # in 8 bits, and near


def test_agreement_by_hand() -> None:
    together = np.zeros((19, 19), np.int64)
    together[0, 0], together[1, 1] = 900, 80
    together[0, 1], together[1, 0] = 12, 8
    found = bisenet_int8._agreement(together, 3)
    assert found.iou == {"background": pytest.approx(900 / 920), "skin": pytest.approx(0.8)}
    assert found.pixels == pytest.approx(0.98)
    assert found.mean == pytest.approx((900 / 920 + 0.8) / 2)
    assert found.text().startswith("IoU 0.8891 over 3 frames (skin 0.800, background 0.978)")


def test_bisenet_in_8_bits_is_another_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = BiSeNet()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    torch.save(network.state_dict(), tmp_path / "79999_iter.pth")
    rng = np.random.default_rng(0)
    frames = [
        np.kron(rng.integers(0, 255, (4, 4, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
        for _ in range(2)
    ]
    made = bisenet_int8.quantised(tmp_path / "79999_iter.pth", frames[:1])
    assert len(made) < 0.3 * (tmp_path / "79999_iter.pth").stat().st_size
    found = bisenet_int8.agreement(tmp_path / "79999_iter.pth", made, frames[1:])
    assert 0.8 < found.pixels < 1  # random scores lie close together
    folder = tmp_path / "int8"
    folder.mkdir()
    (folder / bisenet_int8.FILE).write_bytes(made)
    shelf = Shelf(tmp_path / "shelf")
    shelf.add("bisenet", tmp_path / "79999_iter.pth")
    shelf.add("bisenet_int8", folder, like="bisenet")
    encoders = {
        name: bisenet.BisenetEncoder(
            bisenet.BisenetConfig(size=64, weights=name, runtime="openvino"), shelf
        )
        for name in ("bisenet", "bisenet_int8")
    }
    assert encoders["bisenet"].identity() != encoders["bisenet_int8"].identity()
    inputs = ClipInputs(1, video_source=lambda: frames[1][None])
    masks = {name: e.encode(inputs)["parsing/bisenet"] for name, e in encoders.items()}
    assert (masks["bisenet"] == masks["bisenet_int8"]).mean() > 0.8
    torch_only = bisenet.BisenetConfig(size=64, weights="bisenet_int8", runtime="torch")
    with pytest.raises(WeightError, match=r"an \.onnx file; PyTorch reads none"):
        bisenet.BisenetEncoder(torch_only, shelf).encode(inputs)
