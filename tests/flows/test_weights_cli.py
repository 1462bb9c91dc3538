"""`emohead weights`, and profiles that lack weights, from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
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
