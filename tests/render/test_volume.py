"""Volume rendering against numbers computed by hand, and spherical harmonics."""

import math

import numpy as np
import pytest
import torch

from render.errors import ConfigError
from render.kernels.ray_tile import composite, distortion, enter_box, march
from render.sh import spherical_harmonics
from render.volume import render_packed, render_weights, transmittance


def test_transmittance_has_its_minus_sign() -> None:
    # One ray with optical depths 1, 2, 3: e^0, e^-1, e^-3. A second ray starts anew.
    optical = torch.tensor([1.0, 2.0, 3.0, 5.0, 1.0])
    ray = torch.tensor([0, 0, 0, 2, 2])
    wanted = [1.0, math.exp(-1), math.exp(-3), 1.0, math.exp(-5)]
    torch.testing.assert_close(transmittance(optical, ray), torch.tensor(wanted))


def test_weights_and_colour_by_hand() -> None:
    # Opacities 1/2 each: σ δ = ln 2. Weights 1/2, 1/4; red then green.
    sigma, delta = torch.full((2,), 2 * math.log(2)), torch.full((2,), 0.5)
    ray = torch.zeros(2, dtype=torch.long)
    torch.testing.assert_close(render_weights(sigma, delta, ray), torch.tensor([0.5, 0.25]))
    colour = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    rgb, opacity = render_packed(colour, sigma, delta, ray, 2)
    torch.testing.assert_close(rgb, torch.tensor([[0.5, 0.25, 0], [0, 0, 0]]))
    torch.testing.assert_close(opacity, torch.tensor([0.75, 0.0]))


def test_no_sample_at_all() -> None:
    empty = torch.zeros(0)
    rgb, opacity = render_packed(torch.zeros(0, 3), empty, empty, empty.long(), 3)
    assert rgb.shape == (3, 3)
    assert float(opacity.sum()) == 0


def test_compiled_composite_by_hand() -> None:
    passed = np.array([0.5, 0.5], np.float32)  # e^{-σ δ}
    colour = np.array([[1, 0], [0, 1], [0, 0], [0, 0]], np.float32)
    weights, through, out = (
        np.zeros(2, np.float32),
        np.zeros(2, np.float32),
        np.zeros(4, np.float32),
    )
    left = composite(passed, colour, 0, 2, weights, through, np.float32(1), out)
    assert left == pytest.approx(0.25)
    np.testing.assert_allclose(weights, [0.5, 0.25])
    np.testing.assert_allclose(through, [0.5, 0.25])
    np.testing.assert_allclose(out, [0.5, 0.25, 0, 0.75])


def test_distortion_by_hand() -> None:
    # Weights 1/2, 1/2 at t = 0, 1, δ = 0.3: pairs 2 · 1/4 · 1 = 0.5; own (1/4 + 1/4) 0.3 / 3 =
    # 0.05.
    ts, w = np.array([0, 1], np.float32), np.full(2, 0.5, np.float32)
    grad = np.zeros(2, np.float32)
    assert distortion(ts, w, 0, 2, np.float32(0.3), grad) == pytest.approx(0.55)
    # d/dw_0 = 2 (w_1 |t_0 - t_1| + w_0 δ / 3) = 2 (0.5 + 0.05).
    np.testing.assert_allclose(grad, [1.1, 1.1], rtol=1e-6)


def test_marching_skips_empty_cells_and_keeps_the_lattice() -> None:
    occupied = np.zeros((4, 4, 4), bool)
    occupied[2, 1, 1] = True  # z in [0.5, 0.75)
    o, d = np.array([0.3, 0.3, -1], np.float32), np.array([0, 0, 1], np.float32)
    near, far = enter_box(o, d)
    assert (near, far) == (pytest.approx(1.0), pytest.approx(2.0))
    ts = np.zeros(64, np.float32)
    n, t = march(o, d, np.float32(1.01), far, np.float32(0.05), occupied, ts, 0, 64)
    assert t >= far
    # Lattice 1.01 + 0.05 i inside [1.5, 1.75): 1.51 ... 1.71.
    np.testing.assert_allclose(ts[:n], [1.51, 1.56, 1.61, 1.66, 1.71], atol=1e-5)


def test_marching_resumes_where_it_stopped() -> None:
    occupied = np.ones((4, 4, 4), bool)
    o, d = np.array([0.3, 0.3, -1], np.float32), np.array([0, 0, 1], np.float32)
    whole, parts = np.zeros(64, np.float32), np.zeros(64, np.float32)
    n, _ = march(o, d, np.float32(1), np.float32(2), np.float32(0.06), occupied, whole, 0, 64)
    at, m = np.float32(1), 0
    while at < 2:
        k, at = march(o, d, at, np.float32(2), np.float32(0.06), occupied, parts, m, 5)
        m += k
    assert m == n
    np.testing.assert_allclose(parts[:m], whole[:n], atol=2e-6)


def test_a_ray_beside_the_box_misses_it() -> None:
    near, far = enter_box(np.array([3, 0.5, -1], np.float32), np.array([0, 0, 1], np.float32))
    assert far < near


def test_harmonics_are_orthonormal() -> None:
    rng = np.random.default_rng(0)
    d = rng.normal(size=(200_000, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    y = spherical_harmonics(torch.from_numpy(d), 4)
    gram = 4 * math.pi * (y.T @ y) / len(d)
    torch.testing.assert_close(gram, torch.eye(16, dtype=gram.dtype), atol=0.05, rtol=0)
    with pytest.raises(ConfigError, match="degree = 5"):
        spherical_harmonics(torch.zeros(1, 3), 5)
