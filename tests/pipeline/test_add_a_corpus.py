"""The example of docs/add-a-corpus.md is code that runs."""

import importlib.util
import re
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pipeline.datasets import CORPORA, plain
from pipeline.scan import scan

PAGE = Path(__file__).parents[2] / "docs" / "add-a-corpus.md"


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code.count("\n") < 150
    path = tmp_path / "stage_corpus.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("stage_corpus", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delitem(CORPORA, plain.NAME)
    monkeypatch.setitem(CORPORA, module.NAME, module.describe)
    monkeypatch.setitem(CORPORA, plain.NAME, plain.describe)
    return module


def test_the_example_is_scanned(stage: Any, maker: Any):
    made = maker.write("made.mov", [Fraction(i, 25) for i in range(30)])
    root = maker.folder / "videos"
    for number, name in enumerate(
        ("a07/joy-2-s1", "a03/joy-1-s2", "a12/rage-1-s3", "a99/joy-1-s1")
    ):
        target = root / "stage" / f"{name}.mov"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made, target)
        with target.open("ab") as file:  # other bytes, or it would be a duplicate
            file.write(b"\x00\x00\x00\x09free" + bytes([number]))
    found = scan(root)
    clips = {clip.path.stem: clip for clip in found.clips}
    happy = clips["joy-2-s1"]
    assert (happy.dataset, happy.identity, happy.emotion, happy.intensity, happy.split) == (
        *("stage", "stage_07", "happy", 2, "train"),
    )
    assert happy.transcript is not None
    assert happy.transcript.text == stage.SENTENCES["s1"]
    assert clips["rage-1-s3"].split == "test"
    assert clips["joy-1-s1"].dataset == "plain"  # there is no actor 99
    ((path, reason),) = found.rejected
    assert path.stem == "joy-1-s2"
    assert reason == "known bad file of Stage: another actor walks through the picture"
