"""Profiles are ordered, complete, and refuse what does not exist by naming what does."""

import json
from typing import Any

import pytest

from pipeline.encoder import MEDIA, Encoder
from pipeline.errors import ProfileError
from pipeline.profiles import Profile, load_profile


def test_the_embedded_profile_has_the_features_of_the_contract(profile: Profile):
    shapes = {name: (spec.shape, spec.dtype) for name, spec in profile.specs.items()}
    assert shapes["video/rgb"] == ((256, 256, 3), "uint8")
    assert shapes["face/landmarks"] == ((478, 3), "float32")
    assert shapes["face/found"] == ((), "uint8")
    assert shapes["face/mar"] == ((), "float32")
    assert shapes["pose/camera"] == ((3, 4), "float32")
    assert shapes["expression/semantic"] == ((10,), "float32")
    assert shapes["parsing/selfie"] == ((256, 256), "uint8")
    assert shapes["audio/waveform"] == ((640,), "int16")
    assert shapes["audio/logmel"] == ((2, 240), "float32")
    assert shapes["text/minilm"] == ((), "int32")
    assert profile.specs["video/rgb"].codec == "image"


def test_inputs_come_before_those_who_read_them(profile: Profile):
    made: set[str] = set(MEDIA)
    for encoder in profile.encoders:
        assert isinstance(encoder, Encoder)
        assert made.issuperset(encoder.inputs)
        made.update(spec.name for spec in encoder.outputs)


def test_only_what_is_needed_runs(profile: Profile):
    assert [e.name for e in profile.needed(["face/mar"], {})] == ["facemesh", "mar"]
    assert [e.name for e in profile.needed(["face/mar"], {"face/landmarks": 0})] == ["mar"]
    assert profile.upstream("expression/semantic") == ("face/landmarks", "pose/camera")
    assert profile.upstream("video/rgb") == ()


def test_identities_are_json_and_change_with_what_matters(profile: Profile):
    def told(**overrides: Any):
        other = load_profile(**overrides)
        return {name: json.dumps(other.identity_of(name), sort_keys=True) for name in other.specs}

    before = told()
    turned = told(pose={"cutoff": 3.0})
    assert {name for name in before if before[name] != turned[name]} == {
        *("pose/camera", "pose/error"),
    }
    cropped = told(crop={"crop": {"side": 2.0}})
    assert {name for name in before if before[name] != cropped[name]} == {
        *("video/rgb", "face/landmarks", "face/found", "parsing/selfie"),
    }
    assert told(crop={"video": {"memory": 2**20}}) == before
    assert len(profile.identity_of("face/landmarks")["weights"]["face_mesh"]) == 64


def test_one_size_for_all():
    small = load_profile(size=128)
    assert small.specs["parsing/selfie"].shape == (128, 128)
    assert small.encoder("pose").config.focal == 512
    with pytest.raises(ProfileError, match="frames are 128 px; set the profile's size"):
        load_profile(size=128, pose={"size": 256})


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"name": "fancy"}, "no profile 'fancy'; there are embedded"),
        ({"mesh": {}}, "no encoder 'mesh' to override; it has crop, facemesh"),
        ({"pose": {"cut": 1}}, "pose has no setting 'cut'; it has size, focal_factor"),
        ({"pose": {"cutoff": "fast"}}, "pose.cutoff = 'fast' is a str; float is needed"),
        ({"pose": {"cutoff": -1}}, "cutoff -1.0 not negative"),
        ({"crop": {"crop": {"smallest": 1.5}}}, "crop.crop.smallest = 1.5 is a float; int"),
        ({"size": 8}, "frames of 8 px"),
    ],
)
def test_wrong_settings_are_named_with_the_choices(arguments: Any, reason: Any):
    with pytest.raises(ProfileError, match=reason):
        load_profile(**arguments)


def test_unknown_features_are_named_with_the_choices(profile: Profile):
    with pytest.raises(ProfileError, match="no feature 'face/nose'; it has video/rgb"):
        profile.needed(["face/nose"], {})
