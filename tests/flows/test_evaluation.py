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
from flows.evaluation.ablations import PLACES, ablations_of, beside_ablations
from flows.evaluation.against import comparison
from flows.evaluation.clips import Made
from flows.evaluation.folders import measure_folders
from flows.evaluation.page import write_page
from flows.evaluation.places import file_name, generated_in
from flows.evaluation.protocol import Outcome
from flows.evaluation.results import Shelved, scored
from flows.evaluation.side_by_side import Run, read_run, side_by_side, with_names
from flows.evaluation.tables import Scored, beside, clip_rows, mean_rows
from render.metrics.catalogue import CATALOGUE
from render.metrics.judges import Judges
from render.metrics.measured import Measured, not_measured
from render.metrics.pair import PairOptions, PairScore
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
    for name in ("a", "b"):
        with VideoWriter(tmp_path / name / "z.mp4", 64) as video:
            video.write(np.zeros((64, 64, 3), np.uint8))
    wide = PairOptions(drawn=65)  # of one of many videos: the others are measured
    told = measure_folders(tmp_path / "a", tmp_path / "b", tmp_path / "out", options=wide)
    assert [row["frames"] for row in told["tables"]["clips"]] == [0, 0]
    (tmp_path / "a" / "z.mp4").unlink()
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


def at_64(psnr: float, small: float, side: float, truth: float, ruler: float) -> PairScore:
    """A video drawn at 64 px, beside the true one at both sizes."""
    made, brought = score(psnr=psnr, hyperplane=side), score(psnr=small, hyperplane=ruler)
    return PairScore(
        made.generated,
        score(hyperplane=truth).generated,
        {"generated": {"frames": 9}, "reduced": [64, 64]},
        reduced=brought.generated,
    )


def test_true_videos_at_the_generated_size_have_a_column(tmp_path: Path) -> None:
    scores = [at_64(20.0, 28.0, 0.0, 100.0, 20.0), at_64(22.0, 26.0, 10.0, 90.0, 40.0)]
    told = [Scored(f"c{i}", "iris", "happy", s) for i, s in enumerate(scores)]
    rows = {row["metric"]: row for row in mean_rows(told)}
    side = rows["On the target side [%]"]
    assert side["generated"] == "5.000 [0.000, 10.000]"
    assert side["true videos"] == "95.000 [90.000, 100.000]"
    assert side["true videos at 64 px"] == "30.000 [20.000, 40.000]"
    assert rows["PSNR [dB]"]["true videos"] == "–"  # against themselves they have none
    assert rows["PSNR [dB]"]["true videos at 64 px"] == "27.000 [26.000, 28.000]"
    assert rows["FID"]["true videos at 64 px"] == "–"
    assert "true videos at 64 px" not in mean_rows(clips(20.0))[0]
    *_, truth, small = beside(told, quoted.TABLE_1, None)
    assert (truth["method"], truth["PSNR"]) == ("this run's true videos", "–")
    assert small["method"] == "this run's true videos at 64 px"
    assert small["PSNR"].startswith("27.000")
    assert small["FID"] == small["Empathy"] == "–"
    # Kept, found again whole, and set beside runs that were drawn at full size.
    shelf = Shelved(tmp_path)
    shelf.keep("a", scores[0])
    kept = shelf.find("a")
    assert kept is not None
    assert (kept.reduced, kept.drawn) == (scores[0].reduced, (64, 64))
    out = Outcome(scored=told)
    drawn = Run("emodiffhead", tmp_path, out.cells(), out.true(), out.reduced())
    rows = {row["metric"]: row for row in side_by_side([run("emohead", c0=30.0, c1=32.0), drawn])}
    assert rows["PSNR [dB]"]["true videos at 64 px"] == "27.000 [26.000, 28.000]"
    assert all("true videos at 64 px" in row for row in rows.values())


def test_a_small_video_is_measured_once(tmp_path: Path) -> None:
    a, b = tmp_path / "a.mp4", tmp_path / "b.mp4"
    for path, size in ((a, 32), (b, 64)):
        with VideoWriter(path, size) as video:
            for _ in range(3):
                video.write(np.full((size, size, 3), 90, np.uint8))
    shelf, judges = Shelved(tmp_path / "scores"), Judges()
    first, found = scored(shelf, a, b, judges, "sad", None)
    assert not found
    assert first.drawn == (32, 32)
    again, found = scored(shelf, a, b, judges, "sad", None)
    assert found
    assert again.reduced == first.reduced
    # Enlarged since from another size, it is judged by another ruler.
    other = [scored(shelf, b, b, judges, "sad", None, "", PairOptions(drawn=d)) for d in (16, 32)]
    assert [(pair.drawn, found) for pair, found in other] == [((16, 16), False), ((32, 32), False)]


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
        read_run(tmp_path)
    (tmp_path / "evaluation").mkdir()
    path = tmp_path / "evaluation" / "evaluation.json"
    path.write_text(json.dumps({"tables": {}}))
    with pytest.raises(NothingToDo, match="no figures by clip"):
        read_run(tmp_path)
    means = [{"metric": "FID", "generated": "30.900"}]
    told = {"system": "moee", "tables": {"means": means}, "cells": cells(a=1.0)}
    path.write_text(json.dumps(told))
    run = read_run(tmp_path)
    assert (run.name, run.folder, run.sets) == ("moee", path.parent, {"FID": "30.900"})


def run(name: str, **values: float) -> Run:
    return Run(name, Path(name), cells(**values), sets={"FID": f"FID of {name}"})


def test_systems_stand_side_by_side_on_the_clips_all_of_them_spoke() -> None:
    best = run("emohead", a=30.0, b=27.0, c=33.0, d=99.0)
    worse = run("moee", a=28.0, b=26.0, c=30.0)
    worst = run("emodiffhead", a=20.0, b=22.0, c=24.0)
    rows = {row["metric"]: row for row in side_by_side([best, worse, worst])}
    psnr = rows["PSNR [dB]"]
    assert psnr["emohead"].startswith("30.000 [")  # the clip that others did not speak is left out
    assert psnr["moee"].startswith("28.000 [")
    assert psnr["emodiffhead"] == "22.000 [20.000, 24.000]"
    assert (psnr["ahead"], psnr["clips"]) == ("emohead", 3)
    assert rows["LPIPS"]["moee"] == "not measured: no lpips"
    assert rows["FID"]["moee"].startswith("not measured: the runs spoke other clips")
    near = run("moee", a=29.0, b=28.0, c=33.0)
    (row, *_) = side_by_side([run("emohead", a=30.0, b=27.0, c=33.0), near])
    assert row["ahead"] == "no difference can be seen"
    same = [run("emohead", a=30.0), run("moee", a=30.0)]
    rows = {row["metric"]: row for row in side_by_side(same)}
    assert rows["PSNR [dB]"]["ahead"] == "all the same"
    assert rows["FID"]["moee"] == "FID of moee"
    one = side_by_side([run("emohead", a=30.0), run("moee", a=20.0)])[0]
    assert one["ahead"] == "one clip: nothing can be said"
    with pytest.raises(NothingToDo, match=r"no clip was spoken by all .*emohead 1, moee 1 clips"):
        side_by_side([run("emohead", a=1.0), run("moee", z=1.0)])


def test_runs_of_one_system_are_told_apart() -> None:
    mine, moee, old = with_names(run("emohead", a=1.0), [run("moee"), run("emohead")])
    assert (mine.name, moee.name, old.name) == ("emohead, this run", "moee", "emohead, emohead")


def test_the_page_shows_the_same_clip_by_every_run(tmp_path: Path) -> None:
    out, other = tmp_path / "evaluation", tmp_path / "evaluation-moee"
    made = [
        Made(name, "iris", "happy", generated_in(out, name), out / f"{name}.mp4")
        for name in ("both", "mine only")
    ]
    there = [path for clip in made for path in (clip.generated, clip.reference)]
    for path in [*there, generated_in(other, "both")]:
        assert path is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    runs = [Run("moee", other, {})]
    page = write_page(out, "T", "", made, [], "emohead", runs).read_text("utf-8")
    assert page.count("<video") == 3 + 2
    assert "emohead, moee, recorded" in page
    assert f'src="../evaluation-moee/clips/{file_name("both")}/generated.mp4#' in page


def ablation(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "ablation.csv").write_text(
        "group,row,seed,steps,RMSE,jaw r,target side\n"
        "alignment,without,0,300,0.6,0.4,0.5\n"
        "alignment,without,1,300,0.8,0.4,0.7\n"
        "rho,ρ = 0.2,0,300,0.5,,0.1\n"
        "experts,MoEE,0,300,0.9,0.1,0.2\n",
        "utf-8",
    )
    losses = [
        {"losses": "photo", "psnr": 20.0, "m_lmd": 2.5},
        {"losses": "both", "psnr": 21.0, "ssim": 0.5, "m_lmd": 2.0, "f_lmd": 3.0},
        {"losses": "cord", "not measured": "clip_rn50 is not here: get it from elsewhere"},
    ]
    (folder / "losses.json").write_text(json.dumps(losses))
    return folder


def test_ablations_stand_beside_the_papers_figures(tmp_path: Path) -> None:
    found = ablations_of([ablation(tmp_path / "x")], tmp_path, "store")
    rows = {row["setting"]: row for row in beside_ablations(quoted.TABLE_4, found)}
    row = rows["without audio expression alignment"]
    assert row["M-LMD (quoted)"] == "1.149"
    assert row["here: RMSE"] == "0.700 ± 0.141"
    assert row["here: jaw r"] == "0.400 ± 0.000"
    assert row["note"] == "2 seeds, 300 steps"
    assert rows["FaceVerse"]["note"] == "not measured: no such row here"
    assert rows["d = 256"]["note"] == "not measured: row 'd' was not asked for"
    assert rows["experts: MoEE (here only)"]["here: RMSE"] == "0.900"
    rows = {row["setting"]: row for row in beside_ablations(quoted.TABLE_6, found)}
    assert (rows["rho = 0.2"]["here: RMSE"], rows["rho = 0.2"]["RMSE (MEAD) (quoted)"]) == (
        "0.500",
        "0.35",
    )
    assert rows["rho = 0.2"]["here: jaw r"] == "not measured"
    assert rows["L_cord and L_shape"]["here: M-LMD"] == "2.000"
    assert rows["weights 1, 1e-3, 1e-9"]["here: PSNR"] == "21.000"
    assert rows["weights 1, 1e-2, 1e-8"]["note"] == "not measured: no such row here"
    cord = rows["L_cord and L_shape, first row (ticks lost)"]
    assert cord["note"] == "not measured: clip_rn50 is not here"
    assert rows["losses: photo (here only)"]["here: PSNR"] == "20.000"
    assert not any("experts" in name for name in rows)


def test_every_place_is_a_row_of_the_paper_and_of_ours() -> None:
    from flows.ablate_head import ROWS
    from models.ablation_rows import GROUPS

    ours = {(group, row.name) for group, rows in GROUPS.items() for row in rows}
    ours |= {("losses", name) for name in ROWS}
    assert set(PLACES.values()) <= ours
    assert set(PLACES) <= {row.method for row in (*quoted.TABLE_4, *quoted.TABLE_6)}


def test_where_no_ablation_lies_the_command_is_named(tmp_path: Path) -> None:
    rows = beside_ablations(quoted.TABLE_6, ablations_of([], tmp_path, "s"))
    assert rows[0]["note"] == f"not measured: run `emohead ablate s --out {tmp_path}/ablation`"
    assert f"--head IDENTITY --out {tmp_path}/losses`" in rows[4]["note"]
    with pytest.raises(NothingToDo, match=r"holds neither ablation\.csv nor losses\.json"):
        ablations_of([tmp_path], tmp_path, "s")
    ablation(tmp_path / "ablation")  # found unasked
    rows = beside_ablations(quoted.TABLE_6, ablations_of([], tmp_path, "s"))
    assert rows[5]["here: RMSE"] == "0.500"


def test_clip_ids_become_file_names() -> None:
    assert "/" not in file_name("../../etc/passwd")
    assert file_name("a/b") != file_name("a-b")
