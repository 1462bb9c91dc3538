"""`emohead weights`, and profiles that lack weights, from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.errors import NothingToDo
from pipeline.errors import WeightError


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exception is None, result.output
    return result.output


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOHEAD_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def test_list_add_and_check(folder: Path, tmp_path: Path) -> None:
    told = json.loads(run("weights", "list", "--json"))
    states = {row["name"]: row["state"] for row in told["weights"]}
    assert told["folder"] == str(folder)
    assert set(states.values()) == {"missing"}
    assert "emohead weights add bisenet PATH" in run("weights", "list")

    np.savez(tmp_path / "lmk68_basis.npz", u_base=np.ones(3))
    out = run("weights", "add", "3ddfa_lmk68", str(tmp_path / "lmk68_basis.npz"))
    assert out.strip().endswith("3ddfa_lmk68/lmk68_basis.npz")
    run("weights", "add", "mine", str(tmp_path / "lmk68_basis.npz"), "--like", "3ddfa_lmk68")
    told = json.loads(run("weights", "list", "--json"))
    states = {row["name"]: row["state"] for row in told["weights"]}
    assert (states["3ddfa_lmk68"], states["mine"]) == ("present", "present")
    assert "3ddfa_lmk68: as recorded" in run("weights", "check")

    (folder / "mine" / "lmk68_basis.npz").write_bytes(b"other")
    result = CliRunner().invoke(app, ["weights", "check", "mine"])
    assert result.exit_code == 3
    assert "has sha256" in result.output


@pytest.mark.parametrize("command", ["plan", "preprocess"])
def test_missing_weights_are_said_before_any_work(command: str, tmp_path: Path) -> None:
    arguments = [command, str(tmp_path / "nowhere"), "--profile", "paper"]
    result = CliRunner().invoke(app, [*arguments, "--store", str(tmp_path / "store")])
    assert isinstance(result.exception, WeightError)  # `main` prints it and exits with 3
    assert "emohead weights add hubert_base PATH" in str(result.exception)
    assert not (tmp_path / "store").exists()


def test_quantised_weights_are_kept_only_if_they_agree(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO comes with emohead[paper]")
    import torch

    import store
    from pipeline.face.bisenet_net import BiSeNet

    torch.manual_seed(0)
    torch.save(BiSeNet().state_dict(), tmp_path / "79999_iter.pth")
    run("weights", "add", "bisenet", str(tmp_path / "79999_iter.pth"))
    place = str(tmp_path / "store")
    rng = np.random.default_rng(0)
    schema = store.FeatureSchema("video/rgb", (32, 32, 3), "uint8", 0, codec="image")
    arguments = ["weights", "quantise", "bisenet", "--store", place, "--frames", "1"]
    for name in ("one", "two"):
        row = store.ClipRow(name, name, 1, {"video/rgb": "key"}, identity="M003")
        cache = store.Cache.open(place, create=True)
        with cache.write("clips", {"video/rgb": schema}, "frames") as session:
            (batch,) = session.allocate([row])
            fork = session.fork(batch)
            picture = rng.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
            store.write_clip(fork, store.ClipWrite(name, 1, {"video/rgb": picture}))
            session.merge(fork)
        if name == "one":
            result = CliRunner().invoke(app, arguments)
            assert isinstance(result.exception, NothingToDo)
            assert "has 1 clips with frames, 2 are needed" in str(result.exception)
    result = CliRunner().invoke(app, [*arguments, "--least", "1.0"])
    assert isinstance(result.exception, WeightError)
    assert "bisenet_int8 is not kept: its masks agree" in str(result.exception)
    assert not (folder / "bisenet_int8").exists()
    said = run(*arguments, "--least", "0")
    assert "--set bisenet.weights=bisenet_int8 --set bisenet.runtime=openvino" in said
    assert (folder / "bisenet_int8" / "79999_iter.onnx").is_file()
