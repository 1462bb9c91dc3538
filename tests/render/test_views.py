"""Cameras that nobody stood behind: by hand, and against what is recorded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from render.errors import HeadDataError
from render.views import angles, carried, mean_camera, orbit

STRAIGHT = np.concatenate([np.eye(3), [[0.0], [0.0], [20.0]]], 1)


def cameras(degrees: list[tuple[float, float, float]]) -> np.ndarray:
    turns = Rotation.from_euler("yxz", degrees, degrees=True).as_matrix()
    places = np.array([[0.1 * i, 0.0, 20.0 + i] for i in range(len(degrees))])
    return np.concatenate([turns, places[..., None]], 2)


def test_angles_by_hand() -> None:
    assert angles(STRAIGHT[None]).tolist() == [[0.0, 0.0]]
    quarter = STRAIGHT.copy()
    quarter[:, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]  # the camera stands at R^T t turned round
    np.testing.assert_allclose(np.abs(angles(quarter[None])), [[90, 0]], atol=1e-9)


@given(yaw=st.floats(1, 89), pitch=st.floats(0, 40), seconds=st.floats(1, 20))
def test_an_orbit_reaches_what_was_asked_and_no_more(
    yaw: float, pitch: float, seconds: float
) -> None:
    frames = int(np.ceil(seconds * 25)) + 1
    path = orbit(STRAIGHT, frames, yaw, pitch, seconds)
    np.testing.assert_allclose(path[0], STRAIGHT, atol=1e-12)
    assert np.allclose(path[:, :, :3] @ path[:, :, :3].transpose(0, 2, 1), np.eye(3))
    seen = angles(path)
    assert np.abs(seen[:, 0]).max() <= yaw / np.cos(np.radians(pitch)) + 1e-6
    assert np.abs(seen[:, 0]).max() > 0.8 * yaw
    assert np.abs(seen[:, 1]).max() <= pitch + 1e-6
    np.testing.assert_array_equal(path[:, :, 3], np.tile(STRAIGHT[:, 3], (frames, 1)))


def test_the_mean_of_turns_to_both_sides_looks_straight() -> None:
    path = cameras([(12, 0, 0), (-12, 0, 0), (0, 7, 0), (0, -7, 0)])
    mean = mean_camera(path)
    np.testing.assert_allclose(mean[:, :3], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(mean[:, 3], path[:, :, 3].mean(0))
    with pytest.raises(HeadDataError, match="1 poses, 1 of them not finite"):
        mean_camera(np.full((1, 3, 4), np.nan))


def test_movements_carried_round_their_own_mean_are_themselves() -> None:
    path = cameras([(10, 3, 1), (-6, 0, 2), (4, -5, 0)])
    np.testing.assert_allclose(carried(path, mean_camera(path)), path, atol=1e-9)
    moved = carried(path, STRAIGHT)
    np.testing.assert_allclose(mean_camera(moved), STRAIGHT, atol=1e-9)
    # A turn between two frames is the same turn, seen from the head.
    for i in (1, 2):
        np.testing.assert_allclose(
            moved[0, :, :3].T @ moved[i, :, :3], path[0, :, :3].T @ path[i, :, :3], atol=1e-9
        )
