import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import MediaError
from pipeline.ffmpeg import ffmpeg_exe


def test_the_found_binary_runs():
    answer = subprocess.run([ffmpeg_exe(), "-version"], capture_output=True, check=True, text=True)
    assert answer.stdout.startswith("ffmpeg version")


def test_without_ffmpeg_on_path_the_wheel_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Path(ffmpeg_exe()).is_file()


def test_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mine = tmp_path / "ffmpeg"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ffmpeg_exe() == str(mine)


def test_with_neither_the_error_says_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MediaError, match="Cure: install ffmpeg"):
        ffmpeg_exe()
