import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.config import HyperplaneFlowConfig, PreprocessConfig
from flows.errors import NothingToDo
from flows.fit_hyperplanes import fit_hyperplanes
from flows.orchestra import call
from flows.planning import plan_preprocess
from flows.preprocess import preprocess as flow
from pipeline.errors import InputError
from store import Cache

DATASET = "clips"

pytestmark = pytest.mark.usefixtures("warm")


def config(clips: Path, **changes: Any) -> PreprocessConfig:
    base = {"data": clips, "store": str(clips.parent / "store"), "size": 128, "workers": 2}
    return PreprocessConfig(**(base | changes))


def preprocess(config: PreprocessConfig) -> dict[str, Any]:
    """As on a laptop: no server. tests/flows/test_main_job.py runs the same flow under Prefect."""
    return call(flow, config)


def reasons(plan: Any) -> Counter[tuple[str, str]]:
    return Counter((cell.feature, cell.reason) for cell in plan.cells)


def test_videos_become_cells_once_and_changes_cost_what_hangs_on_them(clips: Path) -> None:
    first = preprocess(config(clips))
    assert first["rejections"] == []
    assert first["computed"] == first["planned"] == 4 * 12

    again = preprocess(config(clips))
    assert again["planned"] == again["computed"] == 0
    assert again["snapshot"] == first["snapshot"]
    assert "0 cells" in again["text"]

    # Another encoder setting: its cells, and no others.
    _, plan, _ = plan_preprocess(config(clips, overrides={"logmel": {"mels": 64}}))
    assert set(reasons(plan)) == {("audio/logmel", "changed encoder")}
    # It changes the form of the array, too: the run takes that in its stride.
    wider = config(clips, overrides={"logmel": {"mels": 64}})
    assert preprocess(wider)["computed"] == 4
    assert Cache.open(wider.store).snapshot().features(DATASET)["audio/logmel"].shape == (2, 192)
    preprocess(config(clips))
    # A setting upstream of others: pose, and what reads it.
    _, plan, _ = plan_preprocess(config(clips, overrides={"pose": {"cutoff": 2.0}}))
    found = dict(reasons(plan).keys())
    assert found["pose/camera"] == "changed encoder"
    assert found["expression/semantic"] == "changed upstream"
    assert not any(feature.startswith(("audio/", "video/", "text/")) for feature in found)

    # The plan holds what it says: after the run nothing is left, and only those cells changed.
    before = Cache.open(str(clips.parent / "store")).snapshot()
    changed = config(clips, overrides={"pose": {"cutoff": 2.0}})
    second = preprocess(changed)
    assert second["computed"] == len(plan.cells)
    after = Cache.open(str(clips.parent / "store")).snapshot()
    old, new = before.cells(DATASET), after.cells(DATASET)
    assert set(old["expression/semantic"]).isdisjoint(new["expression/semantic"])
    assert list(old["video/rgb"]) == list(new["video/rgb"])
    assert list(old["audio/logmel"]) == list(new["audio/logmel"])
    clip_id = str(after.clips(DATASET).index[0])
    np.testing.assert_array_equal(
        before.read(DATASET, "face/landmarks", clip_id),
        after.read(DATASET, "face/landmarks", clip_id),
    )


def test_a_new_clip_costs_one_clip(clips: Path, sample_clips: Path) -> None:
    preprocess(config(clips, features=("face/mar",)))
    for path in sample_clips.glob("milo_sad_s1.*"):
        shutil.copy2(path, clips)
    summary = preprocess(config(clips, features=("face/mar",)))
    assert summary["planned"] == summary["computed"] == 2  # landmarks, and the mouth in them
    assert all("new clip" in what for what in summary["reasons"])


def test_a_run_of_one_feature_loses_no_measurement(clips: Path) -> None:
    few = next(clips.glob("*.mp4"))
    for path in clips.iterdir():
        if path.stem != few.stem:
            path.unlink()
    preprocess(config(clips, workers=1))
    store = str(clips.parent / "store")

    def facts() -> dict[str, Any]:
        return json.loads(Cache.open(store).snapshot().clips(DATASET).facts.iloc[0])

    before = facts()
    preprocess(config(clips, workers=1, features=("face/mar",), force=("face/mar",)))
    after = facts()
    assert after["quality"] == before["quality"]
    assert after["flags"] == before["flags"]
    assert after["encoders"] == before["encoders"]
    assert {"sharpness", "audio_level_dbfs", "mar_range"} <= set(after["quality"])


def test_bad_files_are_named_and_good_ones_processed(clips: Path) -> None:
    (clips / "letter.mp4").write_text("Dear sir, this is no film.")
    silent = clips / "iris_happy_s1.mp4"
    import av

    stripped = clips / "mute.mp4"
    with av.open(str(silent)) as source, av.open(str(stripped), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    summary = preprocess(config(clips))
    rejected = {(r["clip"], r["feature"]): r["reason"] for r in summary["rejections"]}
    assert "letter.mp4" in {clip for clip, _ in rejected}
    mute = {feature: why for (clip, feature), why in rejected.items() if clip == "mute.mp4"}
    assert all("no audio stream" in why for why in mute.values())
    assert all("audio/logmel" in features for features in mute)
    assert summary["computed"] == 4 * 12 + 8  # the mute clip has its eight visual cells
    # Rejected stays rejected: nothing is planned anew while nothing changed.
    assert preprocess(config(clips))["planned"] == 0


def test_a_clip_without_a_face_is_rejected_with_the_reason(tmp_path: Path, clips: Path) -> None:
    from render.video import VideoWriter

    noise = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    with VideoWriter(clips / "noise.mp4", 128) as video:
        for _ in range(15):
            video.write(noise)
    summary = preprocess(config(clips, features=("face/mar",)))
    (rejection,) = [r for r in summary["rejections"] if r["clip"] == "noise.mp4"]
    assert rejection["feature"] == "all"
    assert "no face" in rejection["reason"].lower()

    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.move(clips / "noise.mp4", alone)
    with pytest.raises(NothingToDo, match=r"noise\.mp4"):
        preprocess(config(alone, store=str(tmp_path / "other")))


@pytest.mark.parametrize("make", [False, True])
def test_an_empty_or_missing_folder_is_an_error_with_the_cure(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "videos"
    if make:
        folder.mkdir()
    with pytest.raises(InputError, match="videos"):
        preprocess(config(folder, store=str(tmp_path / "store")))


def test_too_few_emotions_for_a_hyperplane_are_said_and_the_whitening_is_kept(clips: Path) -> None:
    for path in clips.glob("*sad*"):
        path.unlink()
    preprocess(config(clips, features=("expression/semantic", "face/mar")))
    fitted = call(fit_hyperplanes, HyperplaneFlowConfig(store=str(clips.parent / "store")))
    assert fitted["planes"] == []
    assert any("add clips of another emotion" in r["reason"] for r in fitted["rejected"])


def test_hyperplanes_are_stored_and_not_fitted_twice(sample_clips: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    preprocess(config(sample_clips, store=store, features=("expression/semantic", "face/mar")))
    first = call(fit_hyperplanes, HyperplaneFlowConfig(store=store))
    assert {p["scope"] for p in first["planes"]} == {"iris", "milo", "pooled"}
    assert not first["reused"]
    again = call(fit_hyperplanes, HyperplaneFlowConfig(store=store))
    assert again["reused"]
    assert json.dumps(again["planes"]) == json.dumps(first["planes"])
    assert again["snapshot"] == first["snapshot"]


def test_a_corrected_label_costs_no_cell_and_takes_the_hyperplanes_with_it(
    sample_clips: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "clips"
    shutil.copytree(sample_clips, folder)
    job = config(folder, store=str(tmp_path / "store"), features=("expression/semantic",))
    preprocess(job)
    preprocess(config(folder, store=job.store, features=("face/mar",)))
    call(fit_hyperplanes, HyperplaneFlowConfig(store=job.store))
    sidecar = folder / "iris_happy_s1.json"
    facts = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps(facts | {"emotion": "sad"}))

    _, plan, _ = plan_preprocess(job)
    assert plan.cells == []
    (change,) = plan.rows
    assert (change.column, change.before, change.after) == ("emotion", "happy", "sad")
    summary = preprocess(job)
    assert (summary["computed"], summary["labels"]) == (0, 1)
    assert "emotion 'happy' → 'sad'" in summary["text"]
    after = Cache.open(job.store).snapshot()
    assert after.clips(DATASET).emotion[change.clip_id] == "sad"
    # Planes fitted on the wrong label are gone: of that person, and of all; the other's stay.
    assert after.hyperplane_scopes(DATASET, "expression/semantic") == ["milo"]
    assert preprocess(job)["labels"] == 0
