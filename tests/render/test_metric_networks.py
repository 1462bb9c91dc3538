"""Networks that measure: real key formats with random weights, and figures of their originals."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import WeightError
from pipeline.weights import Shelf
from render.errors import MetricError
from render.metrics.expression_net import (
    CLASSES,
    face_squares,
    load_expression_net,
    recognised,
)
from render.metrics.inception import Inception, features
from render.metrics.loading import fill_counted
from render.metrics.mfcc import mfcc
from render.metrics.perceptual import load_lpips, lpips
from render.metrics.syncnet import (
    SyncNet,
    load_syncnet,
    measure_sync,
    mouth_crops,
    sync_of_distances,
)
from render.metrics.watching import watch


def without_counters(network: torch.nn.Module) -> dict[str, Any]:
    """As files of old PyTorch are: normalisation layers count nothing."""
    state = network.state_dict()
    return {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}


def test_cepstra_are_those_of_python_speech_features() -> None:
    t = np.arange(8000)
    sound = (8000 * np.sin(0.1 * t) + 3000 * np.sin(0.37 * t + 0.00002 * t * t)).round()
    found = mfcc(sound)
    assert found.shape == (49, 13)
    # python_speech_features 0.6, mfcc(sound, 16000)
    seventh = [19.216635, 26.64588, -5.383197, -14.755308, 5.392191, 23.407816, 9.066369]
    seventh += [-29.195031, -50.552757, -36.165773, -7.035976, 3.017983, -8.496244]
    last = [19.730073, 15.112958, -17.987945, 9.032906, 33.384485, -6.515495, -45.787502]
    assert found[7] == pytest.approx(seventh, abs=1e-5)
    assert found[-1, :7] == pytest.approx(last, abs=1e-5)


def test_sync_of_distances_finds_a_shift() -> None:
    rng = np.random.default_rng(0)
    lips = rng.normal(size=(200, 32))
    late = np.concatenate([rng.normal(size=(3, 32)), lips[:-3]])  # the sound comes 3 frames late
    found = sync_of_distances(lips, late)
    assert found.offset == -3
    # All but the last three windows fit; those are held against silence beyond the end.
    ends = np.linalg.norm(lips[-3:], axis=1).sum() / 200
    assert found.distance == pytest.approx(ends, rel=1e-3)
    assert found.confidence > 5
    assert sync_of_distances(lips, lips).distance == pytest.approx(1e-6 * np.sqrt(32), rel=1e-3)


def test_syncnet_loads_the_keys_of_its_file_and_measures(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "syncnet_v2.model"
    state = without_counters(SyncNet())
    # Keys of syncnet_v2.model, by the authors' SyncNetModel.py
    assert {"netcnnaud.0.weight", "netcnnaud.19.running_var", "netfcaud.3.bias"} <= set(state)
    assert tuple(state["netcnnlip.0.weight"].shape) == (96, 3, 5, 7, 7)
    assert tuple(state["netcnnaud.18.weight"].shape) == (512, 256, 5, 4)
    torch.save(state, path)
    shelf = Shelf(tmp_path / "shelf")
    shelf.add("syncnet", path)
    network, told = load_syncnet(shelf)
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:12] in told
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 255, (8, 3, 224, 224)).astype(np.uint8)
    sound = rng.normal(0, 0.1, 8 * 640)
    found = measure_sync(network, faces, sound)
    assert found.windows == 3
    assert np.isfinite([found.confidence, found.distance]).all()
    with pytest.raises(MetricError, match="8 frames want 5120 samples, got 100"):
        measure_sync(network, faces, sound[:100])
    with pytest.raises(MetricError, match="5 frames; SyncNet's windows take at least 6"):
        measure_sync(network, faces[:5], sound[:3200])


def test_syncnet_sees_the_square_its_authors_cut() -> None:
    frames = [np.full((100, 120, 3), (10, 20, 30), np.uint8)] * 3
    points = np.zeros((3, 478, 3), np.float32)
    points[:, 0, :2], points[:, 1, :2] = (40, 30), (80, 70)
    points[:, 2:, :2] = 50
    crops = mouth_crops(frames, points)
    # Box 40 px, centre (60, 50), h = 20: columns 60 ± 28, rows 30 to 86: inside, BGR.
    assert (crops == np.array([30, 20, 10], np.uint8)[None, :, None, None]).all()
    points[1] = np.nan
    with pytest.raises(MetricError, match="no face in 1 of 3 frames"):
        mouth_crops(frames, points)


def alexnet_file(folder: Path) -> Path:
    torch.manual_seed(1)
    shapes = {
        0: (64, 3, 11),
        3: (192, 64, 5),
        6: (384, 192, 3),
        8: (256, 384, 3),
        10: (256, 256, 3),
    }
    state = {}
    for layer, (out, inside, side) in shapes.items():
        state[f"features.{layer}.weight"] = torch.randn(out, inside, side, side) * 0.05
        state[f"features.{layer}.bias"] = torch.zeros(out)
    state["classifier.1.weight"] = torch.zeros(2, 2)  # there, and not wanted
    path = folder / "draft.pth"
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return path.rename(folder / f"alexnet-owt-{digest}.pth")


def test_lpips_is_zero_for_equals_and_grows(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    path = alexnet_file(tmp_path)
    shelf.add("alexnet", path)
    network, _ = load_lpips(shelf)
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (64, 80, 3)).astype(np.uint8)
    near = np.clip(picture.astype(int) + 8, 0, 255).astype(np.uint8)
    far = rng.integers(0, 255, (64, 80, 3)).astype(np.uint8)
    assert lpips(network, picture, picture) == 0
    assert 0 < lpips(network, picture, near) < lpips(network, picture, far)
    with pytest.raises(MetricError, match="80x32 px; at least 64"):
        lpips(network, picture[:32], far[:32])


def test_a_name_that_promises_another_hash_is_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    path = alexnet_file(tmp_path)
    shelf.add("alexnet", path.rename(tmp_path / "alexnet-owt-7be5be79.pth"))
    with pytest.raises(MetricError, match=r"its name promises 7be5be79.*fetch it again"):
        load_lpips(shelf)


def test_inception_has_the_keys_and_size_of_the_original() -> None:
    torch.manual_seed(0)
    network = Inception()
    # torchvision's inception_v3(num_classes=1008, aux_logits=False)
    assert sum(p.numel() for p in network.parameters()) == 23_850_960
    state = without_counters(network)
    assert len(state) == 94 * 5 + 2
    assert tuple(state["Mixed_6b.branch7x7dbl_5.conv.weight"].shape) == (192, 128, 1, 7)
    fresh = Inception()
    fill_counted(fresh, state, "fid_inception")
    frames = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3)).astype(np.uint8)
    assert np.array_equal(features(fresh, frames), features(network.eval(), frames))
    with pytest.raises(WeightError, match=r"lacks fc\.bias"):
        fill_counted(fresh, {k: v for k, v in state.items() if k != "fc.bias"}, "fid_inception")


@pytest.mark.parametrize("tag", ["happy", "surprised"])
def test_the_judge_knows_real_faces(shared_data: Path, tmp_path: Path, tag: str) -> None:
    shelf = Shelf(tmp_path / "shelf")
    shelf.add("face_api", shared_data / "weights/face_api")
    network, _ = load_expression_net(shelf)
    video = watch(shared_data / f"real/mead/M030_front_{tag}_level3_001.mp4")
    faces = face_squares(video.frames, video.landmarks)
    assert len(faces) == len(video)
    assert recognised(network, faces, tag) > 90
    assert recognised(network, faces, "neutral") < 10
    assert network(faces[:2]).sum(1) == pytest.approx(1, abs=1e-5)
    with pytest.raises(MetricError, match=f"the judge knows {CLASSES[0]}.*not 'contempt'"):
        recognised(network, faces, "contempt")
