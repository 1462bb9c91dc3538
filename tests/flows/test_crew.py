"""Workers that die, hang, meet bugs; rounds; Dask. Real processes, really killed."""

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.config import PreprocessConfig
from flows.errors import ClusterGone
from flows.orchestra import call
from flows.planning import plan_preprocess
from flows.preprocess import preprocess
from pipeline.ffmpeg import ffmpeg_exe
from store import Cache

# Python runs sitecustomize first in every process that is spawned: the one way to put a poison
# clip before a real worker without a way into emohead that only tests would use.
POISON = """
import os, signal, time
import pipeline.process as process

whole = process.process_clip

def process_clip(source, *given, **more):
    name = source.path.name
    if "kill" in name:
        os.kill(os.getpid(), signal.SIGKILL)
    if "hang" in name:
        time.sleep(1000)
    if "bug" in name:
        raise ValueError("no such bone")
    if "away" in name:
        raise TimeoutError("the share does not answer")
    return whole(source, *given, **more)

process.process_clip = process_clip
"""


@pytest.fixture
def poison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(POISON)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


def renamed(clips: Path, **names: str) -> None:
    for old, new in names.items():
        for path in clips.glob(f"{old}.*"):
            path.rename(path.with_name(new + path.suffix))


def config(clips: Path, **changes: Any) -> PreprocessConfig:
    base = {"data": clips, "store": str(clips.parent / "store"), "size": 128, "workers": 2}
    return PreprocessConfig.model_validate(base | {"features": ("audio/logmel",)} | changes)


def reasons(summary: dict[str, Any]) -> dict[str, str]:
    return {r["clip"].removesuffix(".mp4"): r["reason"] for r in summary["rejections"]}


@pytest.mark.usefixtures("poison")
def test_a_clip_that_kills_its_worker_is_quarantined_and_the_rest_is_done(clips: Path) -> None:
    renamed(clips, iris_sad_s1="kill", iris_sad_s5="bug", iris_happy_s5="away")
    summary = call(preprocess, config(clips, clips_per_task=4))
    why = reasons(summary)
    assert set(why) == {"kill", "bug", "away"}
    assert "quarantined" in why["kill"]
    assert "SIGKILL (out of memory?), 2 times when it was alone" in why["kill"]
    assert why["bug"] == "unexpected ValueError: no such bone"
    assert why["away"] == "out of reach: the share does not answer"
    assert summary["computed"] == 1
    # Rejected stays rejected; what was out of reach is tried again.
    _, plan, _ = plan_preprocess(config(clips))
    (cell,) = plan.cells
    assert "away" in cell.clip_id
    assert cell.reason == "new clip"


@pytest.mark.usefixtures("poison")
def test_a_clip_that_hangs_is_ended_at_its_limit(clips: Path) -> None:
    whole = clips / "iris_sad_s1.mp4"
    for path in clips.glob("*_s5.*"):  # each clip beside it would be tried alone, in its process
        path.unlink()
    # A fifth of a second is given six seconds, the whole clip beside it most of a minute.
    cut = [ffmpeg_exe(), "-v", "error", "-i", str(whole), "-t", "0.2", str(clips / "hang.mp4")]
    subprocess.run(cut, check=True)
    for path in clips.glob("iris_sad_s1.*"):
        path.unlink()
    summary = call(preprocess, config(clips, clip_seconds=1.0, frame_seconds=0.8))
    assert reasons(summary)["hang"].startswith(
        "quarantined: its worker was ended by its time limit of 6 s"
    )
    assert summary["computed"] == 1


@pytest.mark.usefixtures("warm")
def test_each_round_is_a_commit_and_rates_are_kept(clips: Path) -> None:
    job = config(clips, clips_per_commit=3)
    assert call(preprocess, job)["computed"] == 4
    newest, before, *_ = Cache.open(job.store).log()
    assert newest.message == "preprocess: 1 cells of 1 clips, round 2 of 2"
    assert before.message == "preprocess: 3 cells of 3 clips, round 1 of 2"
    assert newest.metadata["run_id"] == before.metadata["run_id"]
    assert 0 < before.metadata["rates"]["logmel"] < 1


@pytest.mark.usefixtures("poison")
@pytest.mark.slow  # a minute and a half; `test_resources` and `test_cluster` meet Dask as well
def test_dask_workers_make_the_same_store_and_survive_a_poison_clip(clips: Path) -> None:
    wanted = ("audio/logmel", "text/minilm")
    here = config(clips, features=wanted)
    call(preprocess, here)
    renamed(clips, iris_sad_s1="kill")
    there = config(clips, features=wanted, store=str(clips.parent / "other"), cluster="local:2")
    summary = call(preprocess, there)
    assert "quarantined: Dask workers died" in reasons(summary)["kill"]
    one, two = Cache.open(here.store).snapshot(), Cache.open(there.store).snapshot()
    valid = two.cells("clips")["audio/logmel"].astype(str)
    # Clip ids tell file names and contents: the three clips that kept their names kept their ids.
    shared = [str(clip_id) for clip_id in valid.index if str(valid[clip_id]) != ""]
    assert len(shared) == 3
    for clip_id in shared:
        for feature in wanted:
            np.testing.assert_array_equal(
                one.read("clips", feature, clip_id), two.read("clips", feature, clip_id)
            )


@pytest.mark.parametrize(
    ("spec", "cure"),
    [
        ("kubernetes:2", "pip install dask-kubernetes"),
        ("tcp://127.0.0.1:9", "no Dask scheduler answers"),
    ],
)
def test_a_cluster_that_cannot_be_had_is_an_error_with_the_cure(
    clips: Path, spec: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.dask_crew.CONNECT_SECONDS", 2)
    with pytest.raises(ClusterGone, match=cure):
        call(preprocess, config(clips, cluster=spec))
