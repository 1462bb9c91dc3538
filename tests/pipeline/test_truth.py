"""Extraction against clips whose mouth, expression and pose are known."""

import json
from typing import Any

import numpy as np
import pytest

from pipeline.face.rigid import log_rotation
from pipeline.face.semantic import NAMES
from pipeline.process import process_clip
from pipeline.profiles import Profile
from pipeline.samples import make_samples
from pipeline.scan import scan

WANTED = ("face/found", "face/mar", "pose/camera", "pose/error", "expression/semantic")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, profile: Profile):
    folder = tmp_path_factory.mktemp("truth")
    out = {}
    for identity, emotion in (("iris", "happy"), ("iris", "neutral"), ("milo", "neutral")):
        make_samples(folder, identities=[identity], emotions=[emotion], sentences=["s5"])
    for source in scan(folder).clips:
        truth = json.loads(source.path.with_suffix(".json").read_text())["truth"]
        who = f"{source.identity} {source.emotion}"
        out[who] = (process_clip(source, WANTED, profile), truth)
    return out


@pytest.mark.parametrize("identity", ["iris happy", "milo neutral"])
def test_the_mouth_opens_when_it_does(measured: Any, identity: str):
    result, truth = measured[identity]
    assert (result.arrays["face/found"] == 1).all()
    assert np.corrcoef(result.arrays["face/mar"], truth["mouth_open"])[0, 1] >= 0.9


@pytest.mark.parametrize("identity", ["iris happy", "milo neutral"])
def test_the_head_turns_as_it_does(measured: Any, identity: str):
    result, truth = measured[identity]
    found = result.arrays["pose/camera"][:, :, :3].astype(float)
    true = np.array(truth["pose"]["rotation"])
    # the two heads' axes differ by a constant turn: take it out
    u, _, vt = np.linalg.svd(np.einsum("nji,njk->ik", true, found))
    between = true @ (u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt)
    off = np.degrees(np.linalg.norm(log_rotation(found @ between.transpose(0, 2, 1)), axis=1))
    assert np.median(off) <= 3.0
    assert np.median(result.arrays["pose/error"]) < 2.0


@pytest.mark.parametrize(
    ("name", "least"),
    [("jaw_open", 0.8), ("mouth_width", 0.8), ("eye_open", 0.8)],
)
def test_coefficients_follow_the_truth(measured: Any, name: str, least: float):
    column = NAMES.index(name)
    for result, truth in measured.values():
        true = np.array(truth["coefficients"])[:, truth["names"].index(name)]
        found = result.arrays["expression/semantic"][:, column]
        assert np.corrcoef(found, true)[0, 1] >= least


def test_a_smile_raises_the_corners_and_widens_the_mouth(measured: Any):
    smiling, plain = (measured[f"iris {tag}"][0] for tag in ("happy", "neutral"))
    change = np.median(smiling.arrays["expression/semantic"], axis=0)
    change = change - np.median(plain.arrays["expression/semantic"], axis=0)
    assert change[NAMES.index("corner_raise")] > 0.05
    assert change[NAMES.index("mouth_width")] > 0.05
