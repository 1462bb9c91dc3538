"""What a head carries: nothing is lost in it, and a folder that is not whole says so."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from render.carried import DRIVING, Carried, packed, read_carried, write_carried
from render.errors import HeadFolderError
from render.head import load_head

OLD = Path(__file__).parent / "data" / "head_v1"
FACTS: dict[str, Any] = {
    "identity": "iris", "snapshot": "S", "clip": "c", "features": {}, "hearing": {}, "planes": {}
}  # fmt: skip


def pictures(count: int = 3, side: int = 24) -> list[tuple[np.ndarray, np.ndarray]]:
    """Noise, the hardest there is to compress, and any mask."""
    rng = np.random.default_rng(1)
    return [
        (rng.integers(0, 256, (side, side, 3), np.uint8), rng.random((side, side)) < 0.5)
        for _ in range(count)
    ]


def carried(whose: str = "iris") -> Carried:
    rng = np.random.default_rng(2)
    files, ends = packed(pictures())
    poses = rng.normal(size=(3, 3, 4))
    plate = np.full((24, 24, 3), 9, np.uint8)
    planes = {"mean": np.arange(10.0), "w": np.zeros((0, 10))}
    return Carried(poses, poses[:2], plate, files, ends, FACTS | {"identity": whose}, planes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_carried(OLD, tmp_path / "iris", carried())
    return tmp_path / "iris"


def test_what_is_carried_comes_back_bit_by_bit(folder: Path) -> None:
    back = read_carried(folder, "iris")
    assert back is not None
    for row in (2, 0, 1):
        for given, got in zip(pictures()[row], back.beneath(row), strict=True):
            np.testing.assert_array_equal(got, given)
    given = carried()
    for name in ("cameras", "seen", "plate"):
        np.testing.assert_array_equal(getattr(back, name), getattr(given, name))
    assert {name: array.tolist() for name, array in back.planes.items()} == {
        name: array.tolist() for name, array in given.planes.items()
    }
    assert back.size == 24


def test_old_heads_load_carry_nothing_and_are_the_same_head_when_they_do(folder: Path) -> None:
    assert read_carried(OLD, "ellipsoid") is None  # the name in its provenance
    before, after = (load_head(f, threads=1, device="cpu") for f in (OLD, folder))
    assert json.loads((folder / "head.json").read_text())["format"] == 3
    for (name, a), (_, b) in zip(
        before.renderer.field.named_parameters(), after.renderer.field.named_parameters(),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(a.detach(), b.detach(), name)
    assert before.facts == after.facts


def test_half_a_head_and_somebody_elses_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    def refused(identity: str = "iris") -> str:
        with pytest.raises(HeadFolderError) as caught:
            read_carried(folder, identity)
        return str(caught.value)

    assert "holds the head of 'iris', not of 'milo'" in refused("milo")
    assert "ask for --identity iris" in refused("milo")

    write_carried(OLD, tmp_path / "milo", carried("milo"))
    shutil.copyfile(tmp_path / "milo" / DRIVING, folder / DRIVING)
    assert f"{DRIVING} is not the file this head was written with (it is of 'milo';" in refused()

    (folder / DRIVING).write_bytes((folder / DRIVING).read_bytes()[:99])
    assert "cut off or overwritten; sha256" in refused()
    (folder / DRIVING).unlink()
    assert f"half a head: {DRIVING} is missing; copy the whole folder again" in refused()

    record = json.loads((folder / "head.json").read_text())
    (folder / "head.json").write_text(json.dumps(record | {"format": 9}))
    assert "head format 9" in refused()
    del record["carried"]["hearing"]
    (folder / "head.json").write_text(json.dumps(record))
    assert "with clip, features, files, hearing" in refused()
    (folder / "head.json").write_text("{")
    assert "cannot be read" in refused()
    (folder / "head.json").unlink()
    assert "head.json is missing" in refused()
