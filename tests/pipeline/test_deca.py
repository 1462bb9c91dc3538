"""DECA's coarse encoder on a random network in the real format, and its place in a profile."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.transform import SimilarityTransform, warp

from pipeline.encoder import ClipInputs
from pipeline.errors import ProfileError, WeightError
from pipeline.face import deca
from pipeline.face.deca import DecaConfig, DecaEncoder, coarse_encoder, cropped, squares_of
from pipeline.face.resnet import ResNet50
from pipeline.profiles import load_profile
from pipeline.weights import Shelf


def checkpoint(path: Path) -> Path:
    """`deca_model.tar` as the original writes it: three networks by name, tensors inside."""
    torch.manual_seed(0)
    state = {f"encoder.{name}": value for name, value in ResNet50().state_dict().items()}
    for i, (rows, columns) in ((0, (1024, 2048)), (2, (deca.PARAMETERS, 1024))):
        state[f"layers.{i}.weight"] = torch.randn(rows, columns) * 0.02
        state[f"layers.{i}.bias"] = torch.arange(rows) * 0.01
    torch.save({"E_flame": state, "E_detail": {}, "D_detail": {}}, path)
    return path


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    folder = tmp_path_factory.mktemp("deca")
    checkpoint(folder / "deca_model.tar")
    shelf = Shelf(folder / "shelf")
    shelf.add("deca", folder)
    return shelf


def clip(frames: int = 3) -> ClipInputs:
    rng = np.random.default_rng(0)
    video = rng.integers(0, 255, (frames, 96, 96, 3), dtype=np.uint8)
    landmarks = rng.uniform(20, 76, (frames, 478, 3)).astype(np.float32)
    landmarks[1] = np.nan
    return ClipInputs(frames, {"face/landmarks": landmarks}, video_source=lambda: video)


def test_the_square_is_that_of_the_original_and_so_are_its_pixels() -> None:
    """A second route: scikit-image, which the original crops with."""
    rng = np.random.default_rng(1)
    points = rng.uniform(10, 60, (1, 68, 2))
    left, top = points[0].min(axis=0)
    right, bottom = points[0].max(axis=0)
    [square] = squares_of(points, 1.25)
    size = int((right - left + bottom - top) / 2 * 1.1 * 1.25)
    assert square.tolist() == [(left + right) / 2, (top + bottom) / 2, size]
    frame = rng.integers(0, 255, (80, 70, 3), dtype=np.uint8)
    place = SimilarityTransform(
        scale=size / 223, translation=(square[0] - size / 2, square[1] - size / 2)
    )
    told = warp(frame / 255, place, output_shape=(224, 224))
    assert np.abs(cropped(frame, square) - told).max() < 0.02  # OpenCV counts in 1/32 pixel


def test_parameters_come_out_in_the_published_order(shelf: Shelf) -> None:
    row = np.arange(deca.PARAMETERS, dtype=np.float32)[None]
    parts = deca.parts_of(row)
    assert {name: (part[0, 0], part[0, -1]) for name, part in parts.items()} == {
        "shape": (0, 99), "tex": (100, 149), "exp": (150, 199), "pose": (200, 205),
        "cam": (206, 208), "light": (209, 235),
    }  # fmt: skip


def test_a_frame_without_a_face_has_no_numbers_and_changes_nobody_elses(shelf: Shelf) -> None:
    made = DecaEncoder(DecaConfig(batch=2), shelf).encode(clip())
    alone = DecaEncoder(DecaConfig(batch=1), shelf).encode(clip())
    assert {name: array.shape for name, array in made.items()} == {
        "expression/deca": (3, 53), "shape/deca": (3, 100), "pose/deca": (3, 6),
        "face/deca_square": (3, 3),
    }  # fmt: skip
    for name, array in made.items():
        assert np.isfinite(array[[0, 2]]).all()
        assert np.isnan(array[1]).all()
        np.testing.assert_allclose(array, alone[name], atol=1e-4)
    folder = shelf.open("deca", "deca")
    network = coarse_encoder(folder / "deca_model.tar")
    square = made["face/deca_square"][2]
    picture = torch.from_numpy(cropped(clip().video()[2], square)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        told = network(picture)[0].numpy()
    np.testing.assert_allclose(made["expression/deca"][2, :50], told[150:200], atol=1e-4)
    np.testing.assert_allclose(made["expression/deca"][2, 50:], told[203:206], atol=1e-4)
    np.testing.assert_allclose(
        made["pose/deca"][2], told[[200, 201, 202, 206, 207, 208]], atol=1e-4
    )


def test_the_network_is_pytorchs_resnet_to_the_name() -> None:
    names = set(ResNet50().state_dict())
    assert {"conv1.weight", "layer1.0.downsample.1.running_var", "layer4.2.bn3.bias"} <= names
    assert sum(p.numel() for p in ResNet50().parameters()) == 23_508_032  # 25,557,032 less its fc


def test_it_stands_in_a_profile_beside_the_embedded_encoders(shelf: Shelf) -> None:
    profile = load_profile("embedded+deca", weights=shelf.folder)
    assert profile.specs["expression/deca"].shape == (53,)
    identity = profile.identity_of("expression/deca")
    assert "deca/deca_model.tar" in identity["weights"]
    assert "batch" not in identity["config"]
    with pytest.raises(WeightError, match=r"deca .* is not in .*weights add deca"):
        load_profile("embedded+deca", weights=shelf.folder / "nowhere")


def test_other_files_and_settings_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "deca_model.tar")
    with pytest.raises(WeightError, match=r"deca_model\.tar has no E_flame"):
        coarse_encoder(tmp_path / "deca_model.tar")
    with pytest.raises(ProfileError, match=r"deca\.scale = 0"):
        DecaConfig(scale=0.0)
    with pytest.raises(ProfileError, match=r"deca\.batch = 0"):
        DecaConfig(batch=0)
