"""Real clips from file to arrays: lengths agree, faces are found, reasons are given."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ClockError, ProfileError
from pipeline.face.indices import OVAL
from pipeline.face.labels import HEAD, part
from pipeline.process import process_clip
from pipeline.profiles import Profile
from pipeline.scan import scan

MEAD = "mead/M030_front_surprised_level3_001.mp4"
RAVDESS = "ravdess/01-01-01-01-01-01-01.mp4"
VARIABLE = "hdtf/video_retalking_face1.mp4"
OLD = "grid/bbaf2n.mpg"
OBAMA = "obama/Obama_clip1.mkv"


@pytest.mark.parametrize(
    ("name", "end", "frames"),
    [(MEAD, None, 94), (RAVDESS, None, 82), (VARIABLE, None, 152), (OLD, None, 75), (OBAMA, 2, 50)],
)
def test_every_feature_has_the_length_of_the_clip(
    processed: Any, profile: Profile, name: str, end: Any, frames: Any
):
    result = processed(name, end=end)
    assert result.frames == frames
    for feature, array in result.arrays.items():
        profile.specs[feature].check(array, frames)
    assert (result.arrays["face/found"] == 1).mean() >= 0.98
    assert np.median(result.arrays["pose/error"]) < 3.5
    assert json.loads(json.dumps(result.facts)) == result.facts
    wanted = set(result.arrays) | set(result.rejected)
    assert wanted >= {"video/rgb", "audio/waveform", "parsing/selfie"}


def test_silent_clips_lose_their_sound_and_nothing_else(processed: Any):
    result = processed(MEAD)
    assert result.rejected == {"audio/waveform": "no audio stream"}
    assert len(result.arrays) == 8
    assert result.facts["audio"] == {"missing": "no audio stream"}


def test_what_was_done_to_the_picture_is_recorded(processed: Any):
    assert processed(RAVDESS).facts["video"]["source_fps"] == pytest.approx(29.97, abs=0.001)
    assert not processed(RAVDESS).facts["crop"]["kept_whole"]
    late = processed(VARIABLE).facts
    assert late["video"]["variable_rate"]
    assert late["media"]["video_zero_s"] == pytest.approx(507 / 15360, abs=1e-6)
    assert processed(OLD).facts["media"]["video_codec"] == "mpeg1video"


def test_sound_is_that_of_the_same_seconds(processed: Any, profile: Profile, shared_data: Path):
    source = replace(
        scan(shared_data / "real" / OBAMA).clips[0], start=Fraction(1), end=Fraction(2)
    )
    part_of = process_clip(source, ["audio/waveform"], profile)
    whole = processed(OBAMA, end=2).arrays["audio/waveform"]
    assert np.array_equal(part_of.arrays["audio/waveform"], whole[25:])


def test_landmarks_lie_on_the_face_and_labels_under_them(processed: Any):
    for name, end in ((MEAD, None), (RAVDESS, None), (OBAMA, 2)):
        arrays = processed(name, end=end).arrays
        points, labels = arrays["face/landmarks"], arrays["parsing/selfie"]
        assert points[:, OVAL, :2].min() > 0
        assert points[:, OVAL, :2].max() < 256
        frames = np.arange(len(points))
        nose = np.round(points[:, 4, :2]).astype(int)
        assert (labels[frames, nose[:, 1], nose[:, 0]] == 10).all()
        corners = labels[:, [0, 0], [0, -1]]
        assert (corners == 0).mean() > 0.9
        assert 0.15 < part(labels, HEAD).mean() < 0.6
        assert (labels == 16).any()
        assert (labels == 14).any()
        assert (labels == 17).any()


def test_a_mouth_that_opens_wide_is_measured_wide(processed: Any):
    surprised = processed(MEAD).arrays["face/mar"]
    talking = processed(RAVDESS).arrays["face/mar"]
    assert np.nanmax(surprised) > 0.5 > np.nanmax(talking)
    assert np.nanmin(talking) < 0.1


def test_given_features_are_used_and_give_the_same(
    processed: Any, profile: Profile, shared_data: Path
):
    whole = processed(MEAD)
    source = scan(shared_data / "real" / MEAD).clips[0]
    given = {name: whole.arrays[name] for name in ("face/landmarks", "pose/camera")}
    again = process_clip(source, ["expression/semantic", "face/mar"], profile, given)
    assert "video" not in again.seconds
    assert "facemesh" not in again.seconds
    for name in ("expression/semantic", "face/mar"):
        assert np.array_equal(again.arrays[name], whole.arrays[name])
    short = {"pose/camera": given["pose/camera"], "face/landmarks": given["face/landmarks"][1:]}
    with pytest.raises(ClockError, match="face/landmarks: 93 frames, but the clip has 94"):
        process_clip(source, ["expression/semantic"], profile, short)


def test_a_run_of_one_feature_keeps_what_others_measured(
    processed: Any, profile: Profile, shared_data: Path
):
    whole = processed(MEAD)
    source = scan(shared_data / "real" / MEAD).clips[0]
    given = {"face/landmarks": whole.arrays["face/landmarks"]}
    known = {
        "video": {"cuts_s": [1.2]},
        "quality": {"sharpness": 3.0, "mar_range": [7.0, 8.0]},
        "encoders": {"minilm": {"source": "known"}, "pose": {"old": True}},
    }
    again = process_clip(source, ["face/mar", "pose/camera"], profile, given, known=known)
    measured = again.facts["quality"]
    assert measured["sharpness"] == 3.0  # no picture was read: what was seen then still holds
    assert measured["mar_range"] == whole.facts["quality"]["mar_range"]  # measured anew
    assert again.facts["encoders"]["minilm"] == {"source": "known"}
    assert again.facts["encoders"].get("pose") == whole.facts["encoders"].get("pose", {"old": True})
    assert {"blur", "cuts"} <= set(again.facts["flags"])


def test_the_same_clip_gives_the_same_bits(processed: Any, profile: Profile, shared_data: Path):
    source = scan(shared_data / "real" / OLD).clips[0]
    wanted = ["video/rgb", "face/landmarks", "pose/camera", "parsing/selfie"]
    again = process_clip(source, wanted, profile)
    for name in wanted:
        assert np.array_equal(again.arrays[name], processed(OLD).arrays[name])


def test_unusable_clips_give_every_feature_the_reason(profile: Profile, shared_data: Path):
    source = scan(shared_data / "real" / "silent" / "s13.mp4").clips[0]
    result = process_clip(source, list(profile.specs), profile)
    assert result.frames == 0
    assert not result.arrays
    assert set(result.rejected) == set(profile.specs)
    assert all("the face is too small" in reason for reason in result.rejected.values())


def test_a_file_that_changed_into_text_is_a_reason_not_a_crash(
    profile: Profile, shared_data: Path, tmp_path: Path
):
    source = scan(shared_data / "real" / OLD).clips[0]
    text = tmp_path / "clip.mp4"
    text.write_text("gone")
    result = process_clip(replace(source, path=text), ["face/mar"], profile)
    assert result.rejected == {"face/mar": "clip.mp4: a text file, not media"}


def test_wrong_requests_raise(profile: Profile, shared_data: Path):
    source = scan(shared_data / "real" / OLD).clips[0]
    with pytest.raises(ProfileError, match="no feature 'face/nose'"):
        process_clip(source, ["face/nose"], profile)
    with pytest.raises(ProfileError, match=r"load_profile\('embedded', size=128\)"):
        process_clip(source, ["face/mar"], profile, size=128)
