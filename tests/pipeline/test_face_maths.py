"""Alignment, smoothing, mouth ratio and coefficients on faces of known truth."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ProfileError
from pipeline.face import rigid
from pipeline.face.indices import LANDMARKS, MIRROR_PAIRS, RIGID
from pipeline.face.mar import mouth_aspect
from pipeline.face.pose import PoseConfig, solve
from pipeline.face.semantic import NAMES, coefficients, upright
from pipeline.face.template import template

FRAMES = 40


def posed(turn: np.ndarray, centre: np.ndarray, size: int = 256) -> np.ndarray:
    """Landmarks of the template under given poses: pinhole pixels, depth on the same scale."""
    rotation = rigid.exp_rotation(turn)
    focal = 4.0 * size
    pixels = rigid.project(template(), rotation, centre, focal, size / 2)
    depth = np.einsum("nij,pj->npi", rotation, template())[..., 2] * focal / centre[:, 2:]
    return np.concatenate([pixels, depth[..., None]], axis=2).astype(np.float32)


def motion(frames: int = FRAMES) -> tuple[np.ndarray, np.ndarray]:
    t = np.linspace(0, 2 * np.pi, frames)
    turn = np.stack([0.15 * np.sin(t), 0.3 * np.cos(t), 0.1 * np.sin(2 * t)], axis=1)
    centre = np.stack([0.3 * np.cos(t), 0.2 * np.sin(t), 18 + np.sin(t)], axis=1)
    return turn, centre


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(np.linalg.norm(rigid.log_rotation(a @ b.transpose(0, 2, 1)), axis=1))


def test_the_template_is_what_its_words_say():
    face = template()
    assert face.shape == (LANDMARKS, 3)
    right, left = face[[33, 133]].mean(0), face[[263, 362]].mean(0)
    assert np.linalg.norm(left - right) == pytest.approx(1, abs=1e-4)
    assert np.allclose((left + right)[:2] / 2, 0, atol=1e-4)
    assert face[[127, 234, 356, 454], 2].mean() == pytest.approx(0, abs=1e-4)
    assert face[10, 2] == pytest.approx(face[152, 2], abs=1e-4)  # forehead over chin
    assert face[1, 2] < -1  # the nose points at the camera
    assert face[10, 1] < face[1, 1] < face[152, 1]  # y grows downwards
    twins = face[MIRROR_PAIRS]
    assert np.allclose(twins[:, 0] * [-1, 1, 1], twins[:, 1], atol=1e-4)


def test_similarity_in_closed_form():
    turn, centre = motion()
    rotation = rigid.exp_rotation(turn)
    points = 2.5 * np.einsum("nij,pj->npi", rotation, template()[RIGID]) + centre[:, None]
    scale, found, shift = rigid.similarity(points, template()[RIGID])
    assert np.allclose(scale, 2.5)
    assert np.allclose(found, rotation)
    assert np.allclose(shift, centre)


def test_poses_come_back_exactly_without_smoothing():
    turn, centre = motion()
    cameras, errors = solve(posed(turn, centre), PoseConfig(cutoff=0.0, prior=0.0))
    assert angle(cameras[:, :, :3].astype(float), rigid.exp_rotation(turn)).max() < 0.02
    assert np.abs(cameras[:, :, 3] - centre).max() < 0.02
    assert errors.max() < 0.01


def test_the_default_keeps_poses_close_and_says_the_error():
    turn, centre = motion()
    cameras, errors = solve(posed(turn, centre), PoseConfig())
    assert np.median(angle(cameras[:, :, :3].astype(float), rigid.exp_rotation(turn))) < 1.0
    assert errors.max() < 1.5


def test_missing_frames_stay_missing_and_do_not_bend_their_neighbours():
    turn, centre = motion()
    landmarks = posed(turn, centre)
    landmarks[10:14] = np.nan
    cameras, errors = solve(landmarks, PoseConfig())
    assert np.isnan(cameras[10:14]).all()
    assert np.isnan(errors[10:14]).all()
    kept = np.r_[0:10, 14:FRAMES]
    full, _ = solve(posed(turn, centre), PoseConfig())
    assert angle(cameras[kept, :, :3].astype(float), full[kept, :, :3].astype(float)).max() < 0.5


def test_frames_of_another_size_give_the_same_head():
    turn, centre = motion()
    small, _ = solve(posed(turn, centre, 128), PoseConfig(size=128))
    large, _ = solve(posed(turn, centre, 512), PoseConfig(size=512))
    assert np.abs(small - large).max() < 1e-3


@settings(deadline=None, max_examples=30)
@given(slope=st.floats(-5, 5), start=st.floats(-5, 5), length=st.integers(3, 90))
def test_smoothing_leaves_steady_motion_alone(slope: Any, start: Any, length: Any):
    line = (start + slope * np.arange(length))[:, None]
    kept = rigid.smooth(line, np.ones(length, bool), 4.0, 25.0)
    assert np.allclose(kept, line, atol=1e-6)


def test_smoothing_has_no_lag_and_halves_at_its_cutoff():
    t = np.arange(200) / 25
    inner = slice(50, 150)
    for frequency, expected in ((1.0, 0.995), (4.0, 0.5), (10.0, 0.063)):
        wave = np.sin(2 * np.pi * frequency * t)[:, None]
        quarter = np.cos(2 * np.pi * frequency * t)[:, None]
        out = rigid.smooth(wave, np.ones(200, bool), 4.0, 25.0)[inner]
        power = (wave[inner] ** 2).sum()
        assert (out * wave[inner]).sum() / power == pytest.approx(expected, abs=0.02)
        assert (out * quarter[inner]).sum() / power == pytest.approx(0, abs=0.02)
    spike = np.zeros((61, 1))
    spike[30] = 1
    answer = rigid.smooth(spike, np.ones(61, bool), 4.0, 25.0)
    assert np.allclose(answer, answer[::-1])


def test_smoothing_bridges_what_was_not_seen():
    line = np.arange(30.0)[:, None]
    seen = np.ones(30, bool)
    seen[10:20] = False
    holed = np.where(seen[:, None], line, 1e6)
    assert np.allclose(rigid.smooth(holed, seen, 4.0, 25.0), line, atol=1e-6)


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_rotation_vectors_come_back(vector: Any):
    turn = np.array([vector])
    if np.linalg.norm(turn) > 3.1:
        return
    rotation = rigid.exp_rotation(turn)
    assert np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3))
    assert np.allclose(rigid.log_rotation(rotation), turn, atol=1e-5)


def test_mouth_ratio_by_hand():
    landmarks = np.zeros((1, LANDMARKS, 3), np.float32)
    landmarks[0, [78, 308], 0] = [-10, 10]  # 20 wide
    for upper, lower, gap in ((81, 178, 3), (13, 14, 6), (311, 402, 3)):
        landmarks[0, upper, 1], landmarks[0, lower, 1] = -gap / 2, gap / 2
    assert mouth_aspect(landmarks)[0] == pytest.approx((3 + 6 + 3) / (3 * 20))


def test_mouth_ratio_and_coefficients_do_not_change_when_the_head_turns():
    turn, centre = motion()
    landmarks = posed(turn, centre)
    still = posed(np.zeros((1, 3)), np.array([[0, 0, 18.0]]))
    assert np.abs(mouth_aspect(landmarks) - mouth_aspect(still)).max() < 0.01
    cameras, _ = solve(landmarks, PoseConfig())
    ahead, _ = solve(still, PoseConfig())
    spread = coefficients(upright(landmarks, cameras)) - coefficients(upright(still, ahead))
    assert np.abs(spread).max() < 0.05


@pytest.mark.parametrize(
    ("name", "points", "move"),
    [
        ("jaw_open", [152], (0, 0.1, 0)),
        ("mouth_width", [61], (-0.1, 0, 0)),
        ("lip_protrusion", [0, 37, 267, 17, 84, 314], (0, 0, -0.1)),
        ("corner_raise", [61, 291], (0, -0.1, 0)),
        ("upper_lip_raise", [0, 37, 267, 13], (0, -0.1, 0)),
        ("lower_lip_drop", [17, 84, 314, 14], (0, 0.1, 0)),
        ("brow_inner_raise", [55, 65, 107, 66, 285, 295, 336, 296], (0, -0.1, 0)),
        ("brow_outer_raise", [46, 53, 70, 63, 276, 283, 300, 293], (0, -0.1, 0)),
        ("brow_gap", [55, 107], (-0.1, 0, 0)),
        ("eye_open", [160, 159, 158, 387, 386, 385], (0, -0.1, 0)),
    ],
)
def test_each_coefficient_grows_with_what_its_name_says(name: str, points: Any, move: Any):
    face = template()[None].astype(np.float32)
    moved = face.copy()
    moved[:, points] += np.array(move, np.float32)
    change = (coefficients(moved) - coefficients(face))[0]
    assert change[NAMES.index(name)] > 0.05
    others = np.delete(np.abs(change), NAMES.index(name))
    assert others.max() <= change[NAMES.index(name)] * 0.8


def test_a_bundle_finds_the_persons_own_points_and_keeps_the_heads_axes():
    rng = np.random.default_rng(4)
    shape = template()[RIGID].astype(np.float64)
    own = shape + rng.normal(0, 0.04 * shape.std(), shape.shape)
    turns = np.column_stack([0.2 * rng.normal(size=(60, 2)), 0.05 * rng.normal(size=60)])
    rotation = rigid.exp_rotation(turns)
    focal, middle = 1024.0, 128.0
    centre = np.column_stack([rng.normal(0, 0.1, (60, 2)), np.full(60, 12.0 * shape.std() * 2)])
    points = rigid.project(own, rotation, centre, focal, middle)
    found, pose = shape, (rotation, centre)
    before = np.abs(rigid.project(shape, *pose, focal, middle) - points).mean()
    for _ in range(3):
        found = rigid.own_shape(points, found, pose, focal, middle)
    after = np.abs(rigid.project(found, *pose, focal, middle) - points).mean()
    assert after < 0.35 * before
    scale, turn, shift = rigid.similarity(found[None], shape)
    assert scale[0] == pytest.approx(1, abs=1e-3)
    assert turn[0] == pytest.approx(np.eye(3), abs=1e-3)
    assert shift[0] == pytest.approx(np.zeros(3), abs=1e-3)


def test_a_bundle_halves_the_error_of_a_real_clip_and_hardly_turns_the_head(processed: Any):
    landmarks = processed("grid/bbaf2n.mpg").arrays["face/landmarks"]
    plain, error = solve(landmarks, PoseConfig())
    bundled, smaller = solve(landmarks, PoseConfig(bundle=3))
    assert np.nanmedian(smaller) < 0.5 * np.nanmedian(error)
    turned = np.einsum("nij,nkj->nik", bundled[:, :, :3], plain[:, :, :3]).astype(np.float64)
    apart = rigid.log_rotation(turned)
    assert np.degrees(np.linalg.norm(apart - apart.mean(axis=0), axis=1)).max() < 2.0
    with pytest.raises(ProfileError, match="bundle -1 and cutoff"):
        PoseConfig(bundle=-1)
