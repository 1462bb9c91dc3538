"""Cameras that nobody stood behind: by hand, and against what is recorded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from render.cameras import Box
from render.errors import HeadDataError
from render.field import Field, FieldConfig
from render.fused import FusedField
from render.hash_grid_config import HashGridConfig
from render.head import Head
from render.torch_field import TorchField
from render.views import angles, carried, mean_camera, orbit, within

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


SEEN = cameras([(float(yaw), 0.0, 0.0) for yaw in range(-6, 7)])


def test_a_view_beyond_what_was_seen_is_held_at_its_edge() -> None:
    inside, beyond, below = cameras([(3, 0, 0), (30, 0, 0), (20, -9, 0)])
    low, high = np.quantile(angles(SEEN), (0.01, 0.99), axis=0)
    held = within(np.stack([inside, beyond, below]), SEEN)
    np.testing.assert_array_equal(held[1:, :, 3], [beyond[:, 3], below[:, 3]])  # as far away
    assert np.allclose(held[:, :, :3] @ held[:, :, :3].transpose(0, 2, 1), np.eye(3))
    seen = angles(held)
    asked = angles(np.stack([inside, beyond, below]))
    np.testing.assert_allclose(seen, np.clip(asked, low, high), atol=1e-9)
    assert abs(asked[1, 0] - seen[1, 0]) > 20
    straight = np.repeat(STRAIGHT[None], 3, 0)
    np.testing.assert_array_equal(within(straight, SEEN), straight)  # to the last bit


@given(yaw=st.floats(-80, 80), pitch=st.floats(-60, 60))
def test_held_views_are_where_they_should_be(yaw: float, pitch: float) -> None:
    (held,) = within(cameras([(yaw, pitch, 0.0)]), SEEN)
    low, high = np.quantile(angles(SEEN), (0.01, 0.99), axis=0)
    found = angles(held[None])[0]
    assert (low - 1e-6 <= found).all()
    assert (found <= high + 1e-6).all()


@pytest.mark.parametrize("kind", ["compiled", "portable"])
def test_colours_are_those_of_the_view_they_are_asked_in(kind: str) -> None:
    config = FieldConfig(
        HashGridConfig(2, 2, 8, base_resolution=4, growth=1.5), coefficients=2,
        expression_resolution=4, ambient=2, geometry=4, density_width=16, colour_width=16,
        sh_degree=3, density_bias=2.0,
    )  # fmt: skip
    field = Field(config, seed=1)
    for parameter in field.parameters():
        parameter.data += 0.2
    renderer = FusedField(field, threads=1) if kind == "compiled" else TorchField(field)
    head = Head(renderer, Box((-1.0, -1.0, -1.0), 2.0), np.ones((8, 8, 8), bool), 4.0, 1 / 16, {})
    front, side = cameras([(0, 0, 0), (40, 0, 0)])
    alpha = np.zeros(2, np.float32)
    plain, opacity = head.render(side, alpha, 24)
    assert opacity.max() > 0.2
    own, _ = head.render(side, alpha, 24, coloured_from=side)
    np.testing.assert_array_equal(own, plain)
    held, same = head.render(side, alpha, 24, coloured_from=front)
    np.testing.assert_array_equal(same, opacity)  # the shape is that of the view asked for
    assert np.abs(held - plain).max() > 1e-3
