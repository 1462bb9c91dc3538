"""What is kept of a head seen from a new side: one piece, soft at its edge, nothing made up."""

import numpy as np

from render.matte import whole_and_soft

SIZE = 96


def disc(x: float, y: float, radius: float) -> np.ndarray:
    row, column = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    return ((column - x) ** 2 + (row - y) ** 2 < radius**2).astype(np.float32)


def test_shreds_go_and_the_edge_is_soft() -> None:
    head, shred, haze = disc(40, 40, 20), disc(75, 75, 4), 0.3 * disc(70, 30, 8)
    whisker = np.zeros((SIZE, SIZE), np.float32)
    whisker[39:40, 58:80] = 1  # a line a pixel thick
    opacity = np.maximum.reduce([head, shred, haze, whisker])
    rgb = opacity[..., None] * np.array([0.8, 0.4, 0.2], np.float32)
    colours, kept = whole_and_soft(rgb, opacity)
    assert kept[:, 64:].max() == 0
    assert kept[40, 40] == 1
    np.testing.assert_allclose(kept[disc(40, 40, 14) > 0], 1, atol=0.01)
    edge = kept[40, 50:64]
    assert (np.diff(edge) <= 0).all()
    assert ((edge > 0.05) & (edge < 0.95)).sum() >= 2  # not a step
    assert (kept <= opacity).all()
    np.testing.assert_allclose(colours, kept[..., None] * [0.8, 0.4, 0.2], atol=1e-6)


def test_steps_of_an_edge_are_rounded() -> None:
    stairs = np.zeros((SIZE, SIZE), np.float32)
    for i in range(8, 88):
        stairs[i, : 4 * (i // 4)] = 1  # a slope in steps of four pixels
    _, kept = whole_and_soft(stairs[..., None].repeat(3, 2), stairs)
    inner = slice(30, 66)

    def roughness(picture: np.ndarray) -> float:
        across = picture[inner].sum(1)
        return float(np.abs(np.diff(across, 2)).mean())

    assert roughness(kept) < 0.5 * roughness(stairs)


def test_an_empty_picture_stays_empty() -> None:
    nothing = np.zeros((SIZE, SIZE), np.float32)
    rgb, kept = whole_and_soft(nothing[..., None].repeat(3, 2), nothing)
    assert rgb.max() == kept.max() == 0
