"""Weights are taken, recorded, checked and refused."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import WeightError
from pipeline.weights import KNOWN, Shelf
from pipeline.weights.loading import fill, torch_state
from pipeline.weights.statistics import arrays_of_pickle


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


def basis(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lmk68_basis.npz"
    np.savez(path, u_base=np.random.default_rng(seed).normal(size=(204, 1)))
    return path


class Evil:
    def __reduce__(self):
        return os.mkdir, ("unpickled-and-run",)


def test_every_entry_says_where_it_comes_from_and_what_it_is() -> None:
    assert {"3ddfa_mb05", "hubert_base", "emotion2vec_base", "llama2_7b"} <= set(KNOWN)
    for name, entry in KNOWN.items():
        assert name == entry.name
        assert entry.what
        assert entry.licence
        assert "http" in entry.source
        assert entry.needs
        assert all(len(digest) == 64 for digest in entry.sha256.values())


def test_a_weight_is_taken_recorded_and_opened(shelf: Shelf, tmp_path: Path) -> None:
    path = basis(tmp_path / "in")
    record = shelf.add("3ddfa_lmk68", path)
    assert list(record.files) == ["lmk68_basis.npz"]
    path.unlink()  # it was copied
    folder = shelf.open("3ddfa_lmk68", "lmk68")
    assert (folder / "lmk68_basis.npz").is_file()
    assert shelf.hashes("3ddfa_lmk68", "lmk68") == {
        "3ddfa_lmk68/lmk68_basis.npz": record.files["lmk68_basis.npz"]
    }
    assert [r.name for r in shelf.records()] == ["3ddfa_lmk68"]


def test_a_missing_weight_names_the_command_that_brings_it(shelf: Shelf) -> None:
    with pytest.raises(WeightError, match="emohead weights add hubert_base PATH"):
        shelf.open("hubert_base", "hubert")
    reason = shelf.missing("my_model", "causal_lm")
    assert reason is not None
    assert "emohead weights add my_model PATH --like llama2_7b" in reason


def test_a_changed_file_is_found_and_never_opened(shelf: Shelf, tmp_path: Path) -> None:
    shelf.add("3ddfa_lmk68", basis(tmp_path / "in"))
    assert shelf.check("3ddfa_lmk68") == []
    stored = shelf.folder / "3ddfa_lmk68" / "lmk68_basis.npz"
    data = bytearray(stored.read_bytes())
    data[100] ^= 1
    stored.write_bytes(data)
    assert "has sha256" in shelf.check("3ddfa_lmk68")[0]
    with pytest.raises(WeightError, match="has sha256"):
        shelf.open("3ddfa_lmk68", "lmk68")
    stored.unlink()
    assert "is gone" in shelf.check("3ddfa_lmk68")[0]
    with pytest.raises(WeightError, match=r"lacks lmk68_basis\.npz"):
        shelf.open("3ddfa_lmk68", "lmk68")


def test_replacing_a_weight_is_seen_by_those_who_had_opened_it(shelf: Shelf, tmp_path: Path):
    first = shelf.add("3ddfa_lmk68", basis(tmp_path / "one"))
    shelf.open("3ddfa_lmk68", "lmk68")
    second = shelf.add("3ddfa_lmk68", basis(tmp_path / "two", seed=1))
    assert first.files != second.files
    shelf.open("3ddfa_lmk68", "lmk68")
    assert shelf.check("3ddfa_lmk68") == []


def test_what_is_not_the_known_file_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "face_landmarker.task").write_bytes(b"something else")
    with pytest.raises(WeightError, match="is known with 64184e22"):
        shelf.add("face_landmarker", tmp_path)
    assert list(shelf.records()) == []


@pytest.mark.parametrize(
    ("name", "like", "reason"),
    [
        ("hubert_huge", None, "a weight of your own needs --like"),
        ("hubert_huge", "hubert", "no weight 'hubert' to be like"),
        ("../up", "hubert_base", "is no name for a weight"),
        ("hubert_base", None, "needs config.json; .* has notes.txt"),
    ],
)
def test_what_cannot_be_added_is_said(
    shelf: Shelf, tmp_path: Path, name: str, like: str | None, reason: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "notes.txt").write_text("hi")
    with pytest.raises(WeightError, match=f"(?i){reason}"):
        shelf.add(name, folder, like)
    with pytest.raises(WeightError, match="does not exist"):
        shelf.add("hubert_base", tmp_path / "nowhere")


def test_a_weight_of_ones_own_has_the_kind_of_its_model(shelf: Shelf, tmp_path: Path) -> None:
    shelf.add("other_basis", basis(tmp_path / "in"), like="3ddfa_lmk68", link=True)
    assert (shelf.folder / "other_basis" / "lmk68_basis.npz").is_symlink()
    assert shelf.missing("other_basis", "lmk68") is None
    with pytest.raises(WeightError, match="kind lmk68, a hubert is needed"):
        shelf.open("other_basis", "hubert")


def test_a_repository_is_taken_without_what_nobody_reads(shelf: Shelf, tmp_path: Path) -> None:
    names = ("config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5", "README.md")
    for name in (*names, "tokenizer.json"):
        (tmp_path / name).write_text(name)
    record = shelf.add("llama2_7b", tmp_path)
    assert sorted(record.files) == ["config.json", "model.safetensors", "tokenizer.json"]
    deep = tmp_path / "clone"
    for folder, name in (("weights", "mb1_120x120.pth"), ("configs", "other.txt")):
        (deep / folder).mkdir(parents=True)
        (deep / folder / name).write_text("x")
    np.savez(deep / "configs" / "param_mean_std_62d_120x120.npz", mean=np.ones(62))
    record = shelf.add("3ddfa_mb1", deep)
    assert sorted(record.files) == ["mb1_120x120.pth", "param_mean_std_62d_120x120.npz"]


def test_a_pickle_of_arrays_is_read_without_being_run(tmp_path: Path) -> None:
    arrays = {"mean": np.arange(3, dtype=np.float32), "std": np.ones(3, np.float32)}
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol=3))
    read = arrays_of_pickle(path)
    assert all(np.array_equal(read[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize("content", [Evil(), {"mean": Evil()}, [1], {"mean": "text"}])
def test_a_pickle_of_anything_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(WeightError, match=r"a\.pkl"):
        arrays_of_pickle(path)
    assert not (tmp_path / "unpickled-and-run").exists()


def test_a_checkpoint_with_code_in_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightError, match=r"evil.pth cannot be read as plain tensors"):
        torch_state(tmp_path / "evil.pth")
    assert not (tmp_path / "unpickled-and-run").exists()


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    network = torch.nn.Linear(3, 2)
    torch.save({"model": {"module.weight": torch.ones(2, 3)}}, tmp_path / "a.pt")
    state = torch_state(tmp_path / "a.pt")
    with pytest.raises(WeightError, match="lacks bias"):
        fill(network, state, "a.pt")
    with pytest.raises(WeightError, match=r"weight is \(3, 2\), expected \(2, 3\)"):
        fill(network, {"weight": torch.ones(3, 2), "bias": torch.ones(2)}, "a.pt")
    fill(network, state | {"bias": torch.zeros(2)}, "a.pt")
    assert network.weight.sum() == 6
