"""Cameras: projecting what a ray goes through gives its pixel; the box holds the head."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render.cameras import Box, camera_rays, head_box, pixel_grid, project, visual_hull
from render.errors import HeadDataError
from render.head_data import HeadData, hold_out
from render.masks import head_mask


@settings(max_examples=30, deadline=None)
@given(
    yaw=st.floats(-0.8, 0.8),
    pitch=st.floats(-0.8, 0.8),
    depth=st.floats(5, 40),
    t=st.floats(0.5, 3),
    x=st.floats(0, 64),
    y=st.floats(0, 64),
)
def test_a_point_on_a_ray_projects_to_its_pixel(
    yaw: float, pitch: float, depth: float, t: float, x: float, y: float
) -> None:
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    rotation = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array(
        [[1, 0, 0], [0, cp, -sp], [0, sp, cp]]
    )
    camera = np.concatenate([rotation, [[0.3], [-0.2], [depth]]], 1).astype(np.float32)
    box = Box((-2.0, -2.5, -1.5), 4.5)
    pixels = np.array([[x, y]], np.float32)
    o, d = camera_rays(camera, 256.0, 64, box, pixels)
    assert np.linalg.norm(d) == pytest.approx(1, abs=1e-5)
    world = box.to_world(o + np.float32(t * depth / box.side) * d)
    np.testing.assert_allclose(project(world, camera, 256.0, 64), pixels, atol=0.05)


def test_pixel_centres() -> None:
    grid = pixel_grid(3)
    np.testing.assert_array_equal(grid[0], [0.5, 0.5])
    np.testing.assert_array_equal(grid[5], [2.5, 1.5])  # row 1, last column


def test_box_and_hull_hold_the_head(make_head_data: Callable[[int, int], HeadData]) -> None:
    data = make_head_data(24, 1)
    masks = head_mask(data.labels)
    box = head_box(masks, data.cameras, data.focal)
    # The ellipsoid is 4 high and 3.2 wide and deep.
    assert 4.0 < box.side < 4.8
    low = np.array(box.low)
    assert (low < [-1.6, -2.0, -1.6]).all()
    assert (low + box.side > [1.6, 2.0, 1.6]).all()
    hull = visual_hull(masks, data.cameras, data.focal, box, 24)
    axis = (np.arange(24) + 0.5) / 24
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    world = box.to_world(np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32))
    inside = ((world / [1.6, 2.0, 1.6]) ** 2).sum(1) < 1
    assert hull.reshape(-1)[inside].all()
    assert not hull[:, 0, 0].any()


def test_no_head_pixel_is_an_error() -> None:
    with pytest.raises(HeadDataError, match="none of 2 frames"):
        head_box(np.zeros((2, 8, 8), bool), np.zeros((2, 3, 4), np.float32), 32.0)


def test_hold_out_takes_whole_clips_and_cuts_only_a_single_one() -> None:
    clips = ["a"] * 40 + ["b"] * 40 + ["c"] * 20
    test = hold_out(clips, 0.2)
    assert test.tolist() == [False] * 80 + [True] * 20
    single = hold_out(["a"] * 10, 0.2)
    assert single.tolist() == [False] * 8 + [True] * 2


def test_head_data_says_what_does_not_fit(make_head_data: Callable[[int, int], HeadData]) -> None:
    data = make_head_data(24, 2)
    with pytest.raises(HeadDataError, match="12 usable training frames of 24"):
        data.training()
    with pytest.raises(HeadDataError, match="clip_ids has 3 rows, frames have 24"):
        replace(data, clip_ids=("a", "b", "c"))
    with pytest.raises(HeadDataError, match=r"focal = -1\.0"):
        replace(data, focal=-1.0)


def test_unusable_frames_are_left_out(make_head_data: Callable[[int, int], HeadData]) -> None:
    data = make_head_data(30, 1)
    data.cameras[3] = np.nan
    data.labels[5] = 0
    data.alpha[7, 0] = np.nan
    usable = data.usable()
    assert np.flatnonzero(~usable).tolist() == [3, 5, 7]
