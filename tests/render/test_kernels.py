"""Vector kernels against numpy: products at any number of points, e^x, Adam, many sheets."""

import numpy as np
import pytest

from render import fused as fused_module
from render.field import Field, FieldConfig
from render.fused import FusedField, RayBatch
from render.hash_grid_config import HashGridConfig
from render.kernels.adam import adam
from render.kernels.mlp_tile import (
    clear_behind,
    exponential,
    linear,
    linear_gated,
    linear_relu,
    linear_weight_grad,
)

WIDTH = 272


def tile(rng: np.random.Generator, rows: int, n: int) -> np.ndarray:
    """Points in the first n columns, zeros behind them, rubbish behind the last vector."""
    x = rng.normal(size=(rows, WIDTH)).astype(np.float32)
    clear_behind(x, rows, n)
    return x


@pytest.mark.parametrize("n", [1, 8, 23, 24, 57, 256])
def test_products_equal_numpy(n: int) -> None:
    rng = np.random.default_rng(n)
    w = rng.normal(size=(12, 20)).astype(np.float32)
    x, gate, y = tile(rng, 20, n), tile(rng, 12, n), np.full((12, WIDTH), 7, np.float32)
    wanted = w.astype(np.float64) @ x[:, :n]
    linear(w, x, y, 8, n)
    np.testing.assert_allclose(y[:8, :n], wanted[:8], atol=1e-5)
    end = (n + 7) // 8 * 8
    assert not y[:8, n:end].any()  # zero stays zero behind the last point
    assert (y[8:] == 7).all()  # rows that were not asked for
    linear_relu(w, x, y, n)
    np.testing.assert_allclose(y[:, :n], np.maximum(wanted, 0), atol=1e-5)
    linear_gated(w, x, y, gate, n)
    np.testing.assert_allclose(y[:, :n], wanted * (gate[:, :n] > 0), atol=1e-5)
    assert (y[:, end:] == 7).all()

    dy, dw = tile(rng, 12, n), np.ones((12, 20), np.float32)
    linear_weight_grad(dy, x, dw, n)
    outer = dy[:, :n].astype(np.float64) @ x[:, :n].T
    np.testing.assert_allclose(dw, 1 + outer, atol=1e-4)


def test_a_nan_passes_through_a_relu() -> None:
    x, y = np.zeros((4, WIDTH), np.float32), np.zeros((4, WIDTH), np.float32)
    x[0, 3] = np.nan
    linear_relu(np.eye(4, dtype=np.float32), x, y, 16)
    assert np.isnan(y[:, 3]).all()
    assert not np.isnan(np.delete(y, 3, 1)).any()


def test_e_to_the_x() -> None:
    x = np.linspace(-80, 80, 4001).astype(np.float32)
    got = x.copy()
    exponential(got, len(got))
    np.testing.assert_allclose(got, np.exp(x.astype(np.float64)), rtol=3e-7)
    odd = np.array([np.nan, 1e9, -1e9, np.inf], np.float32)
    exponential(odd, 4)
    assert np.isnan(odd[0])
    assert np.isfinite(odd[1:]).all()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_adam_equals_its_equations(sparse: bool, threads: int) -> None:
    rng = np.random.default_rng(1)
    n, lo, hi, rate, t = 4133, 3, 4130, 0.01, 5
    theta, m, v = (rng.uniform(0.1, 1, n).astype(np.float32) for _ in range(3))
    ema = theta.copy()
    grads = (rng.normal(size=(threads, n)) * (rng.uniform(size=n) < 0.1)).astype(np.float32)
    grads[:, 1000:1100] = 0
    before = [a.astype(np.float64) for a in (theta, m, v, ema)]
    g = grads.sum(0).astype(np.float64)
    c1, c2 = 1 - 0.9**t, 1 - 0.99**t
    adam(lo, hi, theta, grads, m, v, ema, rate, 0.9, 0.99, c1, c2, 1e-15, 0.1, 0.75, sparse)
    m2 = 0.9 * before[1] + 0.1 * g
    v2 = 0.99 * before[2] + 0.01 * g * g
    w2 = before[0] * (1 - rate * 0.1) - rate * (m2 / c1) / (np.sqrt(v2 / c2) + 1e-15)
    moves = np.zeros(n, bool)
    moves[lo:hi] = (g[lo:hi] != 0) if sparse else True
    for got, old, new in zip((theta, m, v), before, (w2, m2, v2), strict=False):
        np.testing.assert_allclose(got, np.where(moves, new, old), rtol=2e-5, atol=1e-7)
        assert (got[~moves] == old.astype(np.float32)[~moves]).all()
    np.testing.assert_allclose(ema[lo:hi], (0.75 * before[3] + 0.25 * theta)[lo:hi], rtol=1e-5)
    assert not grads[:, lo:hi].any()


def test_more_rays_than_a_sheet_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sheet of two tiles, filled again and again, gives what one large sheet gives."""
    shape = HashGridConfig(3, 2, 8, base_resolution=4, growth=1.7)
    config = FieldConfig(shape, coefficients=3, expression_resolution=5, ambient=2, sh_degree=2)
    rng = np.random.default_rng(0)
    n = 90

    def even(*size: int) -> np.ndarray:
        return rng.uniform(size=size).astype(np.float32)

    directions = (even(n, 3) - 0.5) * np.float32(0.3) + np.array([0, 0, 1], np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    origins = np.tile(np.array([0.5, 0.5, -0.5], np.float32), (n, 1))
    flat = [even(n) for _ in range(3)]
    batch = RayBatch(
        origins, directions, even(n, 4), even(n, 3), even(n, 3), flat[0], even(n, 3), *flat[1:]
    )
    full = np.ones((8, 8, 8), bool)
    reports, grads = [], []
    for tiles in (48, 2):
        monkeypatch.setattr(fused_module, "_TILES", tiles)
        field = FusedField(Field(config, seed=1), threads=1)
        reports.append(field.train(batch, full, 1 / 32, 64, 0.3, 0.1))
        grads.append(field.gradients().sum(0))
    assert reports[0].samples > 3 * 2 * 256
    assert reports[0].samples == reports[1].samples
    assert reports[0].loss == pytest.approx(reports[1].loss)
    np.testing.assert_allclose(grads[0], grads[1], atol=1e-6 * np.abs(grads[0]).max())
