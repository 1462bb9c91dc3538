import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from flows.cli import app
from flows.commands.options import nested

ROOT = Path(__file__).resolve().parents[2]


def test_settings_nest_and_keep_their_types() -> None:
    assert nested(["logmel.mels=64", "logmel.window=hann", "pose.smooth=false"]) == {
        "logmel": {"mels": 64, "window": "hann"},
        "pose": {"smooth": False},
    }


@pytest.mark.parametrize("pair", ["mels=64", "logmel.mels", ".mels=1", "logmel.=1"])
def test_a_setting_of_another_form_is_refused(pair: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"GROUP\.NAME=VALUE"):
        nested([pair])


def emohead(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_help_names_the_commands_and_imports_nothing_heavy() -> None:
    began = time.monotonic()
    result = emohead("--help")
    assert result.returncode == 0
    for command in ("demo", "run", "plan", "preprocess", "samples", "store"):
        assert command in result.stdout
    code = (
        "import sys, flows.cli; print(sorted({'torch', 'prefect', 'mediapipe'} & set(sys.modules)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"
    assert time.monotonic() - began < 60


def test_a_folder_that_is_not_there_is_named_with_exit_code_3(tmp_path: Path) -> None:
    result = emohead("plan", str(tmp_path / "nowhere"), "--store", str(tmp_path / "store"))
    assert result.returncode == 3
    assert "nowhere" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_reason_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    result = emohead("preprocess", str(tmp_path / "videos"), "--store", str(tmp_path / "store"))
    assert result.returncode == 3
    assert result.stderr.count("no videos in") == 1  # also with Prefect's log handlers in place


def test_a_store_that_is_not_there_says_what_makes_one(tmp_path: Path) -> None:
    result = emohead("store", "info", str(tmp_path / "store"))
    assert result.returncode == 3
    assert "run preprocessing" in result.stderr


def test_wrong_parameters_are_refused_before_anything_begins(tmp_path: Path) -> None:
    result = emohead("preprocess", str(tmp_path), "--store", str(tmp_path / "s"), "--size", "255")
    assert result.returncode == 2
    assert result.stderr.strip() == "emohead: size = 255: Input should be a multiple of 2"
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "command",
    ["demo", "run", "samples", "plan", "preprocess", "update", "fit-hyperplanes", "train network",
     "train head", "synthesize", "gallery", "evaluate", "metrics",
     "preferences serve", "preferences table", "ablate", "doctor", "status", "maintain",
     "inspect", "studio"],
)  # fmt: skip
def test_every_command_shows_an_example(command: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"], terminal_width=200)
    assert shown.exit_code == 0
    assert f"Example: emohead {command}" in shown.stdout


def test_a_server_that_is_away_is_said_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    result = emohead("update", str(tmp_path), "--store", str(tmp_path / "s"))
    assert result.returncode == 3
    assert "http://127.0.0.1:9/api does not answer" in result.stderr
    assert "unset PREFECT_API_URL" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_command_ends_as_python_would_and_with_its_code() -> None:
    """Exit handlers run, threads are joined, output is whole; nothing is taken down after that."""
    code = (
        "import atexit, threading, time; from flows.ending import leave\n"
        "atexit.register(lambda: print('handler'))\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start()\n"
        "print('x' * 100_000); leave(3)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 3
    assert ended.stdout == "x" * 100_000 + "\nthread\nhandler\n"


def test_a_bug_shows_its_traceback_and_code_1() -> None:
    code = (
        "import flows.cli as cli, sys\n"
        "def bug(): raise ZeroDivisionError('so')\n"
        "cli.app = bug; cli.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "ZeroDivisionError: so" in ended.stderr
