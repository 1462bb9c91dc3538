"""A folder becomes clips; what cannot be used is said, never raised."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.scan import scan
from pipeline.source import content_hash
from pipeline.transcript import Transcript, Word

SECOND = [Fraction(i, 25) for i in range(25)]


def test_the_real_folder(shared_data: Path):
    found = scan(shared_data / "real")
    by_name = {clip.path.name: clip for clip in found.clips}
    assert len(found.clips) == 34
    assert found.rejected == []
    assert dict(found.skipped) == {".mat": 16, ".jpg": 3}
    assert len({clip.clip_id for clip in found.clips}) == 34
    corpora = {name: clip.dataset for name, clip in by_name.items()}
    assert corpora["M030_front_angry_level3_001.mp4"] == "mead"
    assert corpora["01-01-01-01-01-01-01.mp4"] == "ravdess"
    assert corpora["WDA_KatieHill_000.mp4"] == "hdtf"
    assert corpora["bbaf2n.mpg"] == "grid"
    assert by_name["Obama_clip1.mkv"].identity == by_name["Obama_clip2.mkv"].identity == "Obama"
    mead = {(clip.identity, clip.emotion) for clip in found.clips if clip.dataset == "mead"}
    assert len(mead) == 16
    clip = by_name["WDA_KatieHill_000.mp4"]
    assert clip.sha256.startswith("1fbb4cfd64ee")
    assert clip.clip_id == "WDA_KatieHill_000-1fbb4cfd64ee"
    assert (clip.start, clip.end) == (None, None)


def test_scanning_twice_gives_the_same(shared_data: Path):
    folder = shared_data / "real" / "ravdess"
    assert scan(folder).clips == scan(folder).clips


def test_bad_files_are_refused_and_the_good_ones_kept(maker: Any, tmp_path: Path):
    good = maker.write("good.mp4", SECOND)
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mov").touch()
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "copy.mp4").write_bytes(good.read_bytes())
    (tmp_path / ".hidden.mp4").write_text("not looked at")
    found = scan(tmp_path)
    assert [clip.path.name for clip in found.clips] == ["copy.mp4"]
    reasons = {path.name: reason for path, reason in found.rejected}
    assert "a text file" in reasons["text.mp4"]
    assert "empty (0 bytes)" in reasons["empty.mov"]
    assert "the same bytes as" in reasons["good.mp4"]
    assert dict(found.skipped) == {".txt": 1}


def test_folders_that_cannot_be_scanned(tmp_path: Path):
    with pytest.raises(InputError, match="is not there; give the folder"):
        scan(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no videos in .* \(it holds nothing\)"):
        scan(tmp_path)
    (tmp_path / "a.jpg").touch()
    with pytest.raises(InputError, match=r"it holds 1 \.jpg"):
        scan(tmp_path)
    with pytest.raises(InputError, match="no corpus 'mead2'; use auto, mead"):
        scan(tmp_path, "mead2")


def test_a_named_corpus_refuses_other_names(maker: Any, tmp_path: Path):
    maker.write("holiday.mp4", SECOND)
    (_, reason), *_ = scan(tmp_path, "mead").rejected
    assert "does not follow the names of mead; use auto" in reason


def test_a_sidecar_speaks(maker: Any, tmp_path: Path):
    path = maker.write("iris_s1.mp4", SECOND)
    words = [{"word": "we", "start": 0.1, "end": 0.3}, {"word": "go", "start": 0.3, "end": 0.6}]
    told = {"identity": "iris", "emotion": "happy", "intensity": 3, "split": "test", "words": words}
    path.with_suffix(".json").write_text(json.dumps(told | {"truth": {"pose": []}}))
    (clip,) = scan(tmp_path).clips
    assert (clip.identity, clip.emotion, clip.intensity, clip.split) == ("iris", "happy", 3, "test")
    assert clip.transcript == Transcript(
        "we go", (Word("we", 0.1, 0.3), Word("go", 0.3, 0.6)), source="sidecar"
    )


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("{", "cannot be read"),
        ('{"emotion": "bored"}', "emotion 'bored' is unknown; use neutral, angry"),
        ('{"words": [{"word": "we"}]}', "words must be a list of"),
        ('{"words": [{"word": "we", "start": 2, "end": 1}]}', "0 <= start < end"),
    ],
)
def test_a_sidecar_that_lies_is_the_reason(maker: Any, tmp_path: Path, told: Any, reason: Any):
    maker.write("a.mp4", SECOND).with_suffix(".json").write_text(told)
    ((_, said),) = scan(tmp_path).rejected
    assert reason in said


def test_a_json_about_something_else_is_left_alone(maker: Any, tmp_path: Path):
    maker.write("a.mp4", SECOND).with_suffix(".json").write_text('{"exif": {"iso": 100}}')
    assert len(scan(tmp_path).clips) == 1


def test_long_recordings_are_cut_into_equal_clips_on_whole_frames(maker: Any, tmp_path: Path):
    times = [Fraction(i) for i in range(150)]  # one frame a second
    path = maker.write("talk.mp4", times, last=Fraction(1), size=(32, 32))
    words = [{"word": f"w{i}", "start": i + 0.1, "end": i + 0.9} for i in range(150)]
    path.with_suffix(".json").write_text(json.dumps({"words": words}))
    clips = scan(tmp_path).clips
    assert [clip.start for clip in clips[1:]] == [clip.end for clip in clips[:-1]]
    assert (clips[0].start, clips[-1].end, len(clips)) == (0, None, 3)
    for clip in clips[1:]:
        assert clip.start is not None
        assert (clip.start * 25).denominator == 1
        assert 49 < clip.start / clips.index(clip) < 51
    assert len({clip.clip_id for clip in clips}) == len({clip.content for clip in clips}) == 3
    second = clips[1].transcript
    assert second is not None
    assert [word.text for word in second.words[:2]] == ["w50", "w51"]
    assert second.words[0].start == pytest.approx(50.1 - float(clips[1].start or 0))


def test_a_table_cuts_and_missing_files_are_said(maker: Any, tmp_path: Path):
    maker.write("a.mp4", SECOND)
    table = "file,identity,start,end\na.mp4,ann,0,0.4\na.mp4,ann,0.4,\nb.mp4,ben,,\n"
    (tmp_path / "clips.csv").write_text(table)
    found = scan(tmp_path)
    assert [(clip.start, clip.end) for clip in found.clips] == [
        *((0, Fraction(2, 5)), (Fraction(2, 5), None)),
    ]
    assert [(path.name, why) for path, why in found.rejected] == [
        ("b.mp4", "listed in clips.csv but not there")
    ]


def test_content_changes_with_bytes_range_and_words():
    words = Transcript("we", (Word("we", 0.0, 0.1),), source="sidecar")
    later = Transcript("we", (Word("we", 0.1, 0.2),), source="sidecar")
    cases = [
        ("a", None, None, None),
        ("b", None, None, None),
        ("a", Fraction(0), None, None),
        ("a", None, Fraction(1), None),
        ("a", None, None, words),
        ("a", None, None, later),
    ]
    assert len({content_hash(*case) for case in cases}) == len(cases)
