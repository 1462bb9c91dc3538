"""A folder that holds something else: what took long to make stays, what did not makes room."""

import re
from pathlib import Path

import pytest

from flows import reuse
from flows.errors import FlowError

OLD = {"cells": "0a" * 32, "settings": {"steps": 500}}
NEW = {"cells": "0b" * 32, "settings": {"steps": 600}}


def made(folder: Path, text: str, *, finished: bool = True) -> None:
    (folder / "model").write_text(text, encoding="utf-8")
    if finished:
        reuse.finish(folder, OLD)


def text_of(folder: Path) -> str:
    return (folder / "model").read_text(encoding="utf-8")


@pytest.mark.parametrize("finished", [True, False])
def test_what_took_long_is_kept_beside_also_half_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], finished: bool
) -> None:
    folder = tmp_path / "network"
    assert reuse.start(folder, OLD, keep=True) is None
    made(folder, "old", finished=finished)
    assert reuse.start(folder, OLD, keep=True) is None  # goes on
    assert text_of(folder) == "old"
    kept = reuse.start(folder, NEW, keep=True)
    assert kept is not None
    assert re.fullmatch(r"network\.\d{4}-\d\d-\d\dT\d{6}Z", kept.name)
    assert text_of(kept) == "old"
    assert not (folder / "model").exists()
    assert not reuse.is_finished(folder, NEW)
    assert capsys.readouterr().err == (
        f"  note: {folder} was made from something else (other cells; settings.steps: 500 then, "
        f"600 now); it is now {kept}\n"
    )
    # Moved back, it is what it was.
    (folder / "started-from.json").unlink()
    folder.rmdir()
    kept.rename(folder)
    assert reuse.is_finished(folder, OLD) is finished
    assert reuse.is_started(folder, OLD)


def test_two_of_one_second_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(reuse.datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Clock":
            return cls(2026, 11, 21, 18, 10, 3)

    monkeypatch.setattr(reuse, "datetime", Clock)
    folder = tmp_path / "iris"
    for text in ("first", "second"):
        reuse.start(folder, {"made": text}, keep=True)
        (folder / "model").write_text(text, encoding="utf-8")
    reuse.start(folder, OLD, keep=True)
    names = {"iris.2026-11-21T181003Z": "first", "iris.2026-11-21T181003Z-2": "second"}
    assert {path.name: text_of(path) for path in tmp_path.glob("iris.*")} == names
    (tmp_path / "ann.b").mkdir()
    assert reuse.current(tmp_path) == [tmp_path / "ann.b", folder]


def test_a_run_killed_before_anything_was_made_leaves_nothing_beside(tmp_path: Path) -> None:
    folder = tmp_path / "network"
    reuse.start(folder, OLD, keep=True)
    assert reuse.start(folder, NEW, keep=True) is None  # killed behind the mark
    (folder / "started-from.json").rename(folder / "started-from.json.draft")
    assert reuse.start(folder, NEW, keep=True) is None  # killed before the mark
    folder.rename(tmp_path / "moved")  # killed between the move and the new folder
    assert reuse.start(folder, NEW, keep=True) is None
    assert reuse.is_started(folder, NEW)


def test_work_in_progress_is_removed_and_foreign_files_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    reuse.start(folder, OLD)
    made(folder, "old")
    assert reuse.start(folder, NEW) is None
    assert [path.name for path in tmp_path.rglob("*")] == ["frames", "started-from.json"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    for keep in (True, False):
        with pytest.raises(FlowError, match="not written by emohead"):
            reuse.start(mine, NEW, keep)
    assert (mine / "thesis.txt").read_text() == "years"


def test_a_folder_that_cannot_be_moved_is_left_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "network"
    reuse.start(folder, OLD, keep=True)
    made(folder, "old")

    def refuse(path: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(FlowError, match=r"cannot be moved .*Permission denied.* another folder"):
        reuse.start(folder, NEW, keep=True)
    assert text_of(folder) == "old"
    assert reuse.is_finished(folder, OLD)
