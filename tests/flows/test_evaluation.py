"""Evaluation: kept scores survive a kill, tables and comparisons by hand, quoted figures whole."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.errors import NothingToDo
from flows.evaluation import quoted
from flows.evaluation.against import comparison, read_cells
from flows.evaluation.clips import file_name
from flows.evaluation.folders import measure_folders
from flows.evaluation.tables import Scored, beside, clip_rows, mean_rows
from render.metrics.catalogue import CATALOGUE
from render.metrics.measured import Measured, not_measured
from render.metrics.pair import PairScore
from render.video import VideoWriter

CLIPS = 14


def write_clips(folder: Path, seed: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for i in range(CLIPS):
        with VideoWriter(folder / f"c{i:02d}.mp4", 64) as video:
            for _ in range(3):
                video.write(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8))
    return folder


def test_a_killed_run_measures_no_clip_twice(tmp_path: Path) -> None:
    a, b = write_clips(tmp_path / "a", 1), write_clips(tmp_path / "b", 2)
    out, scores = tmp_path / "out", tmp_path / "out" / "scores"
    code = (
        "import sys; from pathlib import Path\n"
        "from flows.evaluation.folders import measure_folders\n"
        "measure_folders(*map(Path, sys.argv[1:]))"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code, str(a), str(b), str(out)], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(list(scores.glob("*.json"))) < 3 and run.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    kept = {p.name: p.stat().st_mtime_ns for p in scores.glob("*.json")}
    assert 3 <= len(kept) < CLIPS
    again = measure_folders(a, b, out)
    assert again["reused"] == len(kept)
    assert {p.name: p.stat().st_mtime_ns for p in scores.glob("*.json")}.items() >= kept.items()
    fresh = measure_folders(a, b, tmp_path / "unbroken")
    assert fresh["reused"] == 0
    assert fresh["cells"] == again["cells"]
    # A changed file is another content: only its pair is measured again.
    (a / "c00.mp4").write_bytes((a / "c01.mp4").read_bytes())
    assert measure_folders(a, b, out)["reused"] == CLIPS - 1


def test_a_file_that_is_no_video_is_a_row(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.mp4").write_text("nothing")
    told = measure_folders(tmp_path / "a", tmp_path / "b", tmp_path / "out")
    assert told["tables"]["clips"][0]["frames"] == 0
    assert told["tables"]["means"][0]["generated"] == "not measured: no clip was measured"
    (tmp_path / "b" / "x.mp4").rename(tmp_path / "b" / "y.mp4")
    with pytest.raises(NothingToDo, match="twins have the same file name"):
        measure_folders(tmp_path / "a", tmp_path / "b", tmp_path / "out")


def score(**values: float) -> PairScore:
    cells = {
        key: Measured(key, values[key]) if key in values else not_measured(key, f"no {key}")
        for key, metric in CATALOGUE.items()
        if metric.of != "set"
    }
    return PairScore(cells, dict(cells), {"generated": {"frames": 9}})


def clips(*psnr: float | None) -> list[Scored]:
    return [
        Scored(f"c{i}", "iris", "happy", score() if v is None else score(psnr=v, er=50.0))
        for i, v in enumerate(psnr)
    ]


def test_means_and_clips_say_everything() -> None:
    rows = {row["metric"]: row for row in mean_rows(clips(20.0, 22.0, None))}
    assert rows["PSNR [dB]"]["generated"] == "21.000 [20.000, 22.000]"
    assert rows["PSNR [dB]"]["note"] == "2 clips, 1 not measured: no psnr"
    assert rows["LPIPS"]["generated"] == "not measured: no lpips"
    assert rows["FID"]["generated"].startswith("not measured: weights 'fid_inception'")
    assert len(rows) == len(CATALOGUE)
    assert all(row["generated"] for row in rows.values())
    shown = clip_rows([*clips(20.0), Scored("c9", "iris", "", None, "no sound")])
    assert shown[0]["PSNR [dB]"] == 20.0
    assert shown[1]["PSNR [dB]"] == "not measured: no sound"
    assert shown[1]["emotion"] == "unlabelled"


def test_the_paper_stands_beside_as_quoted() -> None:
    rows = beside(clips(20.0, 22.0), quoted.TABLE_1, None)
    ours = {row["method"]: row for row in rows}
    assert ours["EmoHead (quoted)"]["PSNR"] == "28.262"
    assert ours["LivePortrait (quoted)"]["SSIM"] == "0.720"  # every digit
    assert ours["ground truth (quoted)"]["PSNR"] == "–"
    assert (
        ours["this run (other data)"]["FID"] == "not measured: weights 'fid_inception' are not here"
    )
    assert ours["this run (other data)"]["PSNR"].startswith("21.000")
    assert ours["this run (other data)"]["Empathy"].startswith("not measured: ask people")
    assert all(value != "" for row in rows for value in row.values())
    assert len(quoted.TABLE_4) == 11
    assert len(quoted.TABLE_6) == 14
    assert quoted.TABLE_2[5].figures["Sync"] == "6.11"


def cells(**values: float) -> dict[str, Any]:
    return {
        clip: {key: cell.record() for key, cell in s.generated.items()}
        for clip, s in ((name, score(psnr=v)) for name, v in values.items())
    }


def test_a_comparison_is_clip_by_clip() -> None:
    base = {"a": 20.0, "b": 25.0, "c": 30.0}
    better = cells(**{k: v + d for (k, v), d in zip(base.items(), (1, 2, 3), strict=True)})
    row = comparison(better, cells(**base), "old")[0]
    assert row["difference"] == "2.000 [1.000, 3.000]"  # however far the clips are apart
    assert row["verdict"] == "better"
    assert comparison(cells(**base), better, "new")[0]["verdict"] == "worse"
    mixed = cells(a=21.0, b=24.0, c=30.0)
    assert comparison(mixed, cells(**base), "old")[0]["verdict"] == "no difference can be seen"
    assert comparison(cells(**base), cells(**base), "old")[0]["verdict"] == "the same"
    assert comparison(better, cells(**base), "old")[1]["difference"].startswith("not measured:")
    with pytest.raises(NothingToDo, match="no clip of this run is in old"):
        comparison(better, cells(z=1.0), "old")


def test_another_run_must_be_an_evaluation(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match="run `emohead evaluate` there first"):
        read_cells(tmp_path)
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "evaluation.json").write_text(json.dumps({"tables": {}}))
    with pytest.raises(NothingToDo, match="no figures by clip"):
        read_cells(tmp_path)


def test_clip_ids_become_file_names() -> None:
    assert "/" not in file_name("../../etc/passwd")
    assert file_name("a/b") != file_name("a-b")
