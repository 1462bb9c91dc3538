"""The quality page of a store: everything is counted, nothing is fetched, names are data."""

import re
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.config import PreprocessConfig
from flows.errors import NothingToDo
from flows.orchestra import call
from flows.preprocess import preprocess
from flows.quality_page import write_quality_page
from flows.quality_page.collect import ClipView, near_duplicates
from flows.quality_page.drawing import histogram_svg, timeline_svg
from pipeline.quality_rules import QualityConfig
from store import Cache


def smaller_copy(source: Path, target: Path) -> None:
    """The same pictures at another size and quality, without sound."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 240
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "26"}
        for number, frame in enumerate(old.decode(video=0)):
            small = frame.reformat(240, 240, "yuv420p")
            small.pts, small.time_base = number, Fraction(1, 25)
            new.mux(stream.encode(small))
        new.mux(stream.encode(None))


@pytest.fixture(scope="module")
def page_of(sample_clips: Path, tmp_path_factory: pytest.TempPathFactory, warm_session: Any):
    folder = tmp_path_factory.mktemp("quality")
    clips = folder / "clips"
    clips.mkdir()
    first = sorted(sample_clips.glob("*.mp4"))[0]
    shutil.copy(first, clips / "<b>one & only.mp4")
    shutil.copy(first.with_suffix(".json"), clips / "<b>one & only.json")
    smaller_copy(first, clips / "copy_7.mp4")
    with av.open(str(clips / "grey.mp4"), "w") as empty:
        stream = empty.add_stream("libx264", rate=25)
        stream.width = stream.height = 128
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((128, 128, 3), 90, np.uint8), format="rgb24")
            frame.pts = number
            empty.mux(stream.encode(frame))
        empty.mux(stream.encode(None))
    store = str(folder / "store")
    with warm_session():
        call(cast(Any, preprocess), PreprocessConfig(data=clips, store=store, size=128))

    def write(**settings: Any) -> str:
        path = write_quality_page(store, folder / "page.html", **settings)
        return path.read_text(encoding="utf-8")

    return write


def test_the_page_counts_names_and_shows(page_of: Any):
    page = page_of()
    assert "<b>3</b><span>clips</span>" in page
    assert "<b>1</b><span>refused</span>" in page
    assert "no face in any of" in page
    assert page.count('class="strip"') == page.count("data:image/jpeg;base64,") == 2
    assert page.count('<polyline class="mouth"') >= 2
    assert "near-duplicate: same recording as copy_7.mp4" in page
    assert page.count("<article") == 2


def test_throughput_of_each_stage_stands_beside_what_was_rejected(page_of: Any):
    page = page_of()
    (section,) = re.findall(r'<h2 id="runs">.*?<h2 id="refused">', page, re.DOTALL)
    for result in ("valid", "partial", "rejected"):  # the copy has no sound, the third no face
        assert f"1 clips {result}" in section
    rows = dict(re.findall(r"<tr><td>(\w+)</td>.*?([\d.]+)</td></tr>", section))
    assert {"video", "selfie", "facemesh"} <= set(rows)
    assert all(float(rate) > 0 for rate in rows.values())
    kinds = re.findall(r"<tr><td>(\d+)</td><td>([^<]+)</td></tr>", section)
    told = {reason: int(cells) for cells, reason in kinds}
    assert told["no audio stream"] >= 1
    assert any("no face in any of" in reason for reason in told)
    total = re.findall(r"<b>(\d+)</b><span>cells rejected</span>", section)
    assert total == [str(sum(told.values()))]


def test_the_page_is_one_file_that_fetches_nothing_and_runs_nothing(page_of: Any):
    page = page_of()
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:|#|file://)[^"]*"', page)
    assert "&lt;b&gt;one &amp; only.mp4" in page
    assert "<b>one" not in page


def test_its_size_is_bounded_and_limits_can_be_set(page_of: Any):
    none = page_of(cards=0)
    assert "<article" not in none
    assert len(none) < 90_000
    strict = page_of(limits=QualityConfig(least_sharpness=10_000.0))
    assert "at least 10000" in strict
    assert "soft picture" not in page_of()


def test_a_dataset_that_is_not_there_is_said(tmp_path: Path):
    store = str(tmp_path / "store")
    Cache.open(store, create=True)
    with pytest.raises(NothingToDo, match="no dataset 'clips'; run `emohead preprocess` first"):
        write_quality_page(store, tmp_path / "page.html")


def view(name: str, code: int) -> ClipView:
    facts = {"quality": {"picture_hash": f"{code:016x}"}}
    return ClipView(name, name, name, "ann", "sad", 1, 100, facts, {})


def test_only_the_same_scene_with_the_same_movement_is_a_duplicate():
    rng = np.random.default_rng(0)
    mouth, other = rng.random((2, 100)).astype(np.float32)
    views = [view("a", 0), view("b", 7), view("c", 2**40 - 1), view("d", 1)]
    mouths = {
        "a": mouth,
        "b": np.r_[mouth[2:], mouth[:2]] + 0.01,  # a cut of two frames
        "c": mouth,  # another scene
        "d": other,  # the same scene, another sentence
    }
    ((one, twin, alike),) = near_duplicates(views, mouths)
    assert (one.name, twin.name) == ("a", "b")
    assert alike > 0.99


def test_curves_mark_where_no_face_was():
    mouth = np.full(100, np.nan, np.float32)
    mouth[:40] = np.linspace(0, 1, 40)
    mouth[60:] = 0.5
    svg = timeline_svg(mouth, np.zeros((100, 640), np.float32) + 0.1)
    assert svg.count("polyline") == 2
    assert '<rect class="lost" x="240.0" y="0" width="120.0"' in svg
    assert timeline_svg(None, None) == ""
    bars = histogram_svg(np.array([1.0, 2.0, 30.0]), None, 10.0)
    assert bars.count('class="bad"') > 0 < bars.count('class="limit"')


def test_a_clip_of_a_relative_folder_has_a_link_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    relative = ClipView("a", "a", "videos/a.mp4", "ann", "sad", 1, 100, {}, {})
    assert relative.link == (tmp_path / "videos/a.mp4").as_uri()


@pytest.mark.usefixtures("warm")
def test_preprocess_and_update_write_it_when_asked(clips: Path, tmp_path: Path):
    for path in sorted(clips.glob("*.mp4"))[1:]:
        path.unlink()
    place, page = str(tmp_path / "store"), tmp_path / "pages" / "quality.html"
    asked = [str(clips), "--store", place, "--size", "128", "--workers", "1", "--report", str(page)]
    strict = ["--set", 'crop.quality={"least_sharpness": 10000}', "--feature", "face/mar"]
    first = CliRunner().invoke(app, ["preprocess", *asked, *strict, "--feature", "video/rgb"])
    assert first.exit_code == 0, first.output
    assert f"wrote {page}" in first.stdout
    assert "at least 10000" in page.read_text(encoding="utf-8")  # the run's own limits
    page.unlink()
    asked[0] = str(tmp_path / "nowhere")
    failed = CliRunner().invoke(app, ["update", *asked])
    assert failed.exit_code != 0
    assert not page.exists()
