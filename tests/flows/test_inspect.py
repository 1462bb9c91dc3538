"""`emohead inspect`: the recording, read back, holds what the store holds, on the clip's clock."""

import io
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("rerun", reason="the extra `studio` is not installed")

import rerun as rr

from flows.cli import app
from flows.errors import FlowError, NothingToDo
from flows.inspection.clip import head_angles
from flows.inspection.find import find_clip
from flows.inspection.heat import ABSENT, heat_map
from flows.inspection.show import open_in_viewer, record_clip, viewer
from pipeline.hyperplane_record import from_record
from pipeline.quality import pose_ranges
from store import Cache, Snapshot

Rows = dict[str, list[tuple[int, Any]]]


def read_back(path: Path) -> tuple[dict[str, Rows], dict[str, dict[str, Any]]]:
    """Entity → component → (nanoseconds, value) in time order; and the static ones."""
    reader = rr.chunk.RrdReader(path)
    (recording,) = reader.recordings()
    timed: dict[str, Rows] = defaultdict(lambda: defaultdict(list))
    static: dict[str, dict[str, Any]] = defaultdict(dict)
    for chunk in reader.stream(store=recording).collect().stream():
        batch = chunk.to_record_batch()
        for name in batch.schema.names:
            if ":" not in name:
                continue
            values = batch.column(name).to_pylist()
            if chunk.is_static:
                static[chunk.entity_path][name] = values[0]
                continue
            clock = batch.column("time").cast(pa.int64()).to_pylist()
            frames = batch.column("frame").to_pylist()
            assert [int(t * 25 // 1_000_000_000) for t in clock] == frames
            timed[chunk.entity_path][name] += zip(clock, values, strict=True)
    for rows in timed.values():
        for column in rows.values():
            column.sort(key=lambda pair: pair[0])
    return timed, static


@pytest.fixture(scope="module")
def recorded(looked_at: Path, tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("rrd") / "clip.rrd"
    done = record_clip(str(looked_at), "iris_happy_s1.mp4", path)
    return (done, *read_back(path))


@pytest.fixture(scope="module")
def snapshot(looked_at: Path) -> Snapshot:
    return Cache.open(looked_at).snapshot()


def column(timed: dict[str, Rows], path: str, name: str) -> list[Any]:
    return [value for _, value in timed[path][name]]


def test_every_frame_stands_at_its_second_with_what_the_store_holds(
    recorded: Any, snapshot: Snapshot
):
    done, timed, _ = recorded
    clip, frames = done.clip_id, done.frames
    expected = [i * 40_000_000 for i in range(frames)]
    for path, name in (
        ("/face/frame", "EncodedImage:blob"),
        ("/face/landmarks", "Points2D:positions"),
        ("/face/parsing/selfie", "SegmentationImage:buffer"),
        ("/curves/face/mar", "Scalars:scalars"),
        ("/expression/raw", "Scalars:scalars"),
        ("/features/audio/logmel/now", "LineStrips2D:strips"),
    ):
        assert [t for t, _ in timed[path][name]] == expected, path
    mar = snapshot.read("clips", "face/mar", clip)
    assert np.array_equal(column(timed, "/curves/face/mar", "Scalars:scalars"), mar[:, None])
    raw = snapshot.read("clips", "expression/semantic", clip)
    assert np.array_equal(column(timed, "/expression/raw", "Scalars:scalars"), raw)
    points = np.array(column(timed, "/face/landmarks", "Points2D:positions"))
    assert np.array_equal(points, snapshot.read("clips", "face/landmarks", clip)[..., :2])
    labels = column(timed, "/face/parsing/selfie", "SegmentationImage:buffer")
    stored = snapshot.read("clips", "parsing/selfie", clip)
    flat = np.array([np.array(row, np.uint8).ravel() for row in labels])
    assert np.array_equal(flat, stored.reshape(frames, -1))


def test_pictures_and_sound_are_those_of_the_store(recorded: Any, snapshot: Snapshot):
    done, timed, _ = recorded
    blobs = column(timed, "/face/frame", "EncodedImage:blob")
    blob = np.array(blobs[3], np.uint8).tobytes()
    shown = np.asarray(Image.open(io.BytesIO(blob))).astype(float)
    stored = snapshot.read("clips", "video/rgb", done.clip_id)[3].astype(float)
    assert np.abs(shown - stored).mean() < 3
    ((at, audio),) = timed["/sound/audio"]["AssetAudio:blob"]
    samples = snapshot.read("clips", "audio/waveform", done.clip_id).reshape(-1)
    assert at == 0
    assert np.array_equal(np.frombuffer(np.array(audio, np.uint8).tobytes()[44:], "<i2"), samples)
    curve = np.array(column(timed, "/sound/waveform", "Scalars:scalars"))
    assert len(curve) == len(samples) // 160
    assert curve[:, 1].max() == pytest.approx(samples.max() / 32_768)


def test_margins_are_those_of_the_stored_planes(recorded: Any, snapshot: Snapshot):
    done, timed, static = recorded
    record = snapshot.hyperplanes("clips", "expression/semantic", "iris")
    assert record is not None
    planes = from_record(record, record.pop("attrs"))
    raw = snapshot.read("clips", "expression/semantic", done.clip_id)
    margins = np.array(column(timed, "/emotion/margin", "Scalars:scalars"))
    names = static["/emotion/margin"]["SeriesLines:names"]
    for at, tag in enumerate(names):
        white = (raw - planes.whitening.mean) / planes.whitening.std  # by hand
        by_hand = white @ planes.planes[tag].w + planes.planes[tag].b
        assert margins[:, at] == pytest.approx(by_hand, abs=1e-4)
    assert margins[:, names.index("happy")].mean() > 0


def test_words_stand_where_they_are_spoken(recorded: Any, looked_at: Path, sample_clips: Path):
    _, timed, _ = recorded
    sidecar = json.loads((sample_clips / "iris_happy_s1.json").read_text())
    heard = [(t, [w]) for t, (w,) in timed["/words"]["TextLog:text"]]
    expected = [(round(w["start"] * 1e9), [w["word"].lower()]) for w in sidecar["words"]]
    assert [w for _, w in heard] == [w for _, w in expected]
    assert [t for t, _ in heard] == pytest.approx([t for t, _ in expected], abs=2_000_000)


def test_head_angles_are_those_the_quality_rules_measure(recorded: Any, snapshot: Snapshot):
    cameras = snapshot.read("clips", "pose/camera", recorded[0].clip_id)
    angles = np.percentile(head_angles(cameras), [5, 95], axis=0)
    ranges = pose_ranges(cameras)
    for at, name in enumerate(("yaw_deg", "pitch_deg", "roll_deg")):
        assert angles[:, at] == pytest.approx(ranges[name], abs=0.06)


def test_a_refused_clip_is_a_page_with_its_reason(looked_at: Path, tmp_path: Path):
    done = record_clip(str(looked_at), "grey.mp4", tmp_path / "grey.rrd")
    _, static = read_back(done.path)
    assert done.frames == 0
    (page,) = static["/about"]["TextDocument:text"]
    assert "no face" in page
    assert "## Rejected" in page


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("iris", "may be any of"),
        ("iris_hapy_s1.mp4", "nearest: iris_happy_s1"),
        ("", "e.g."),
        ("../../etc/passwd", "no clip"),
    ],
)
def test_a_clip_that_is_not_there_brings_the_nearest(snapshot: Snapshot, text: str, why: str):
    with pytest.raises(NothingToDo, match=why):
        find_clip(snapshot, "clips", text)


def test_a_clip_is_found_by_id_beginning_name_and_path(snapshot: Snapshot):
    (wanted,) = [c for c in snapshot.clips("clips").index if c.startswith("iris_happy_s1")]
    for text in (wanted, wanted[:-3], "iris_happy_s1", "iris_happy_s1.mp4", "x/iris_happy_s1.mp4"):
        assert find_clip(snapshot, "clips", text) == wanted
    with pytest.raises(NothingToDo, match="datasets: 'clips'"):
        find_clip(snapshot, "other", wanted)


def test_the_command_writes_whole_files_and_nothing_into_the_store(looked_at: Path, tmp_path: Path):
    target = tmp_path / "new" / "a.rrd"
    arguments = ["inspect", "iris_sad_s5", "--store", str(looked_at), "--save", str(target)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "12 features" in result.output
    assert [p.name for p in target.parent.iterdir()] == ["a.rrd"]
    with pytest.raises(NothingToDo, match="inside the store"):
        record_clip(str(looked_at), "iris_sad_s5", looked_at / "a.rrd")


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    """Another program where Rerun's own is started."""
    program = folder / "viewer"
    program.write_text("#!/bin/sh\n" + lines)
    program.chmod(0o755)
    monkeypatch.setenv("RERUN_CLI_PATH", str(program))


def test_the_viewer_is_told_to_stay_on_this_machine_and_ends_with_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told = tmp_path / "told"
    stand_in(tmp_path, monkeypatch, f'echo "$$ $@" > {told}.new; mv {told}.new {told}; sleep 60\n')
    with viewer(["clip.rrd"]):
        while not told.exists():
            time.sleep(0.05)
    number, *arguments = told.read_text().split()
    assert arguments == ["--bind", "127.0.0.1", "clip.rrd"]
    for _ in range(100):
        if not Path(f"/proc/{number}").exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"process {number} outlived the viewer")


def test_a_viewer_without_a_screen_says_what_to_do(
    looked_at: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    stand_in(tmp_path, monkeypatch, "echo no display >&2; exit 3\n")
    with pytest.raises(FlowError, match=r"ended with code 3: no display.*--save clip\.rrd"):
        open_in_viewer(str(looked_at), "iris_sad_s5")


def test_a_heat_map_greys_what_is_absent_and_grows_upwards():
    values = np.array([[0.0, np.nan], [1.0, np.nan], [2.0, np.nan]], np.float32)
    picture = heat_map(values)
    assert picture.shape == (2, 3, 3)
    assert (picture[0] == ABSENT).all()
    assert picture[1, 0].tolist() == [68, 1, 84]  # viridis begins dark violet
    assert picture[1, 2].tolist() == [253, 231, 36]  # and ends yellow
