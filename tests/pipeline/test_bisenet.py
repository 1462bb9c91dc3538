"""BiSeNet: published key names, both run times, labels at the frames' size. Weights are random."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.encoder import ClipInputs
from pipeline.errors import WeightError
from pipeline.face import bisenet
from pipeline.face.bisenet_net import BiSeNet, parser
from pipeline.weights import Shelf


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """A random network as the published file would hold it, training heads included."""
    torch.manual_seed(0)
    network = BiSeNet()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.running_mean, std=0.1)  # type: ignore[arg-type]
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    state = dict(network.state_dict())
    state |= {
        f"conv_out16.{key}": torch.zeros(1) for key in ("conv.conv.weight", "conv_out.weight")
    }
    folder = tmp_path_factory.mktemp("weights")
    torch.save(state, folder / "79999_iter.pth")
    shelf = Shelf(folder / "shelf")
    shelf.add("bisenet", folder)
    return shelf


def test_the_names_are_those_of_the_published_file() -> None:
    names = set(BiSeNet().state_dict())
    assert {
        "cp.resnet.conv1.weight",
        "cp.resnet.layer2.0.downsample.1.running_var",
        "cp.resnet.layer4.1.bn2.bias",
        "cp.arm16.conv.conv.weight",
        "cp.arm32.bn_atten.weight",
        "cp.conv_head32.bn.weight",
        "cp.conv_avg.conv.weight",
        "ffm.convblk.conv.weight",
        "ffm.conv2.weight",
        "conv_out.conv.bn.running_mean",
        "conv_out.conv_out.weight",
    } <= names
    # 13.3 M of the original less the two training heads' 150,784 and their normalisations
    assert sum(p.numel() for p in BiSeNet().parameters()) == 13_150_272


def test_labels_of_a_frame_by_either_run_time(shelf: Shelf) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime comes with emohead[paper]")
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (8, 8, 3), np.uint8)
    frame = np.kron(small, np.ones((12, 12, 1), np.uint8))[None]
    inputs = ClipInputs(1, video_source=lambda: frame)
    made = {}
    for runtime in ("onnxruntime", "torch"):
        config = bisenet.BisenetConfig(size=96, runtime=runtime)
        encoder = bisenet.BisenetEncoder(config, shelf)
        made[runtime] = encoder.encode(inputs)["parsing/bisenet"]
        encoder.outputs[0].check(made[runtime], 1)
    assert made["torch"].max() < 19
    assert len(np.unique(made["torch"])) > 1
    assert (made["torch"] == made["onnxruntime"]).mean() > 0.999


def test_labels_come_back_where_they_were() -> None:
    scores = np.zeros((19, 512, 512), np.float32)
    scores[17, :, :256] = 1
    scores[4, :, 256:] = 1
    for size in (64, 255, 512, 1024):
        label = bisenet.back_to(size, scores)
        assert label.shape == (size, size)
        assert (label[:, : size // 2] == 17).all()
        assert (label[:, size // 2 + 1 :] == 4).all()


def test_the_best_label_is_numpys_also_among_equals() -> None:
    scores = np.random.default_rng(0).integers(0, 9, (19, 32, 32)).astype(np.float32)
    np.testing.assert_array_equal(bisenet.back_to(32, scores), scores.argmax(axis=0))


def test_the_input_is_in_imagenets_units() -> None:
    frame = np.full((64, 64, 3), 255, np.uint8)
    x = bisenet.network_input(frame)
    assert x.shape == (1, 3, 512, 512)
    np.testing.assert_allclose(
        x[0, :, 5, 5], [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], rtol=1e-5
    )


def test_a_file_that_lacks_a_layer_is_refused(tmp_path: Path) -> None:
    state = BiSeNet().state_dict()
    del state["ffm.conv1.weight"]
    torch.save(state, tmp_path / "79999_iter.pth")
    with pytest.raises(WeightError, match=r"does not fit BiSeNet: lacks ffm.conv1.weight"):
        parser(tmp_path / "79999_iter.pth")
