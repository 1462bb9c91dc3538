"""The examples of docs/store.md run as they are printed."""

import re
from pathlib import Path

import pytest

DOC = Path(__file__).parents[2] / "docs" / "store.md"


@pytest.mark.filterwarnings("ignore::FutureWarning:xarray.*")
def test_the_examples_run(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOC.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 7
    names: dict[str, object] = {"folder": str(tmp_path / "cache"), "packs": tmp_path / "packs"}
    names["files"] = tmp_path / "files"
    for block in blocks:
        exec(compile(block, str(DOC), "exec"), names)
    values = names["values"]
    assert getattr(values, "shape", None) == (75,)
    assert getattr(names["report"], "ok", False)
    assert getattr(names["changes"], "entries", None) == []
    assert getattr(names["done"], "cells", None) == 1
