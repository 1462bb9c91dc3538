"""Background plate, torso layer, compositing, metrics by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from render.backdrop import TorsoLayers, _median, background_plate, fill_hole
from render.compositing import compose, over
from render.errors import HeadDataError, RenderError
from render.head_data import HeadData
from render.masks import HEAD, head_mask, members, soft
from render.metrics import landmark_distance, nearest_frame, psnr, ssim

Maker = Callable[[int, int], HeadData]


def test_head_labels_are_those_of_the_design() -> None:
    table = members(HEAD)
    assert [i for i in range(256) if table[i]] == [*range(1, 14), 17, 18]


def test_the_plate_is_the_background_where_it_was_seen(make_head_data: Maker) -> None:
    data = make_head_data(24, 1)
    plate = background_plate(data)
    # The scene's green, everywhere: the head covers the middle always, which is in-painted.
    clear = np.abs(plate.astype(int) - [51, 153, 76]).max(2) <= 2
    assert clear[:36].mean() > 0.95


def test_the_torso_layer_keeps_the_body_and_loses_the_head(make_head_data: Maker) -> None:
    data = make_head_data(24, 1)
    plate = background_plate(data)
    layer = TorsoLayers.of(data, plate).layer(3)
    body = data.labels[3] == 16
    np.testing.assert_array_equal(layer[body][-20:], data.frames[3][body][-20:])
    head = head_mask(data.labels[3])
    upper = head.copy()
    upper[24:] = False
    np.testing.assert_array_equal(layer[upper], plate[upper])
    assert np.abs(layer[head].astype(int) - data.frames[3][head]).mean() > 20


def test_frames_without_a_person_give_no_plate(make_head_data: Maker) -> None:
    data = make_head_data(24, 1)
    data.labels[:] = 255
    with pytest.raises(HeadDataError, match="none of 24 frames"):
        background_plate(data)


def test_fill_hole_is_smooth_and_leaves_the_rest() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, :16], image[:, 16:] = 100, 200
    hole = np.zeros((32, 32), bool)
    hole[8:24, 8:24] = True
    damaged = image.copy()
    damaged[hole] = 0
    filled = fill_hole(damaged, hole)
    np.testing.assert_array_equal(filled[~hole], image[~hole])
    assert filled[hole].min() >= 95
    assert filled[16, 9, 0] < 140 < 160 < filled[16, 22, 0]


def test_compose_by_hand() -> None:
    rgb = np.zeros((2, 2, 3), np.float32)
    rgb[0, 0] = 0.5  # premultiplied: white at half opacity
    opacity = np.array([[0.5, 0], [0, 0]], np.float32)
    under = np.full((2, 2, 3), 100, np.uint8)
    out = compose(rgb, opacity, under)
    assert out[0, 0].tolist() == [178, 178, 178]  # 127.5 + 50, rounded
    assert out[1, 1].tolist() == [100, 100, 100]
    assert compose(rgb, opacity, np.full((4, 4, 3), 9, np.uint8), 8).shape == (8, 8, 3)
    with pytest.raises(RenderError, match="3 x 2"):
        compose(np.zeros((3, 2, 3), np.float32), np.zeros((3, 2), np.float32), under)


def test_soft_edges_are_half_on_the_edge() -> None:
    mask = np.zeros((21, 21), bool)
    mask[:, 10:] = True
    edge = soft(mask, 2.0)[10]
    assert edge[9] + edge[10] == pytest.approx(1.0, abs=1e-4)
    assert edge[0] < 0.01
    assert edge[20] > 0.99


def test_psnr_and_ssim_by_hand() -> None:
    truth = np.random.default_rng(0).random((16, 16, 3)).astype(np.float32)
    mask = np.zeros((16, 16), bool)
    mask[4:12, 4:12] = True
    worse = truth.copy()
    worse[mask] += 0.1
    assert psnr(worse, truth, mask) == pytest.approx(20.0, abs=1e-3)
    assert psnr(worse, truth) == pytest.approx(20 + 10 * np.log10(4), abs=1e-3)
    assert ssim(truth, truth, mask) == pytest.approx(1.0)
    with pytest.raises(HeadDataError, match="no head pixel"):
        ssim(truth, truth, np.zeros_like(mask))


def test_landmark_distance_ignores_place() -> None:
    truth = np.random.default_rng(0).random((3, 5, 2)).astype(np.float32)
    assert landmark_distance(truth + 7, truth) == pytest.approx(0, abs=1e-6)
    moved = truth.copy()
    moved[:, 0, 0] += 5.0
    # One of five points moves by 5: after centring it errs by 4, the other four by 1 each.
    assert landmark_distance(moved, truth) == pytest.approx(8 / 5, abs=1e-4)


def test_the_nearest_frame_of_a_training_frame_is_itself(make_head_data: Maker) -> None:
    data = make_head_data(24, 1)
    assert nearest_frame(data, data.cameras[11], data.alpha[11]) == 11


def test_the_plate_takes_the_median_of_what_was_seen() -> None:
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 256, (9, 6, 6, 3), dtype=np.uint8)
    seen = rng.random((9, 6, 6)) < 0.5
    seen[0] = True
    slow = np.ma.median(
        np.ma.masked_array(frames.astype(float), np.repeat(~seen[..., None], 3, 3)), axis=0
    )
    np.testing.assert_array_equal(_median(frames, seen), slow.filled(0).astype(np.uint8))


def test_head_over_torso_over_background_by_hand() -> None:
    rgb = np.zeros((2, 2, 3), np.float32)
    rgb[0, 0] = 0.5  # premultiplied: white at half opacity
    opacity = np.array([[0.5, 0], [0, 0]], np.float32)
    torso = np.zeros((2, 2, 4), np.uint8)
    torso[0] = [50, 50, 50, 127]  # premultiplied: 100 at half opacity
    behind = np.full((2, 2, 3), 200, np.uint8)
    out = over(rgb, opacity, torso, behind, 2)
    # 127.5 + half of (50 + 200 (1 - 127/255)) = 127.5 + 75.2; then 50 + 100.4; then 200.
    assert out[:, :, 0].tolist() == [[203, 150], [200, 200]]
    clear = over(rgb, opacity, torso, None, 2)
    # Opacity 127.5 + half of 127 = 191; colour (127.5 + 25) / 191 of 255.
    assert clear[0, 0].tolist() == [204, 204, 204, 191]
    assert clear[0, 1].tolist() == [100, 100, 100, 127]
    assert clear[1, 1].tolist() == [0, 0, 0, 0]
    assert over(rgb, opacity, None, None, 4).shape == (4, 4, 4)


def test_a_cut_out_body_keeps_its_colours_and_nothing_of_the_scene(make_head_data: Maker) -> None:
    data = make_head_data(24, 1)
    layers = TorsoLayers.of(data, background_plate(data))
    cut = layers.cut_out(data.frames[3], data.labels[3])
    body = data.labels[3] == 16
    inner = body & (np.arange(48) > 43)[:, None]
    assert cut[inner][:, 3].min() == 255
    np.testing.assert_allclose(cut[inner][:, :3], data.frames[3][inner], atol=2)
    assert cut[:20, :, 3].max() == 0
    edge = (cut[..., 3] > 20) & (cut[..., 3] < 235)
    straight = cut[edge][:, :3] * (255.0 / cut[edge][:, 3:])
    assert straight[:, 1].max() < 110  # the scene's green is 153, the clothes' 25
