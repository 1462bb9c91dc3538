"""Hash grid: every back-end against a float64 loop of ten lines, values and gradients."""

import math

import numpy as np
import pytest
import torch

from render.errors import BackendError, ConfigError
from render.hash_grid import HashGrid, resolve_backend
from render.hash_grid_config import HashGridConfig, grid_geometry
from render.kernels.hash_tile import encode, encode_grad_level

PRIMES = [1, 2654435761, 805459861]


def loop(x: np.ndarray, params: np.ndarray, c: HashGridConfig) -> np.ndarray:
    """tiny-cuda-nn's grid, one point and corner at a time."""
    out, offset = [], 0
    for level in range(c.levels):
        scale = float(
            np.exp2(np.float32(level) * np.float32(math.log2(c.growth)))
            * np.float32(c.base_resolution)
            - np.float32(1)
        )
        res = math.ceil(scale) + 1
        entries = min((res**c.dimensions + 7) // 8 * 8, 2**c.log2_entries)
        value = np.zeros(c.features)
        p = np.array(x, np.float64) * scale + 0.5
        cell, f = np.floor(p).astype(int), p - np.floor(p)
        for corner in np.ndindex(*[2] * c.dimensions):
            v = cell + corner
            w = np.prod(np.where(np.array(corner) == 1, f, 1 - f))
            if res**c.dimensions <= entries:
                index = sum(int(v[a]) * res**a for a in range(c.dimensions))
            else:
                index = 0
                for a in range(c.dimensions):
                    index ^= (int(v[a]) * PRIMES[a]) % 2**32
            at = (offset + index % entries) * c.features
            value += w * params[at : at + c.features]
        out.append(value)
        offset += entries
    return np.concatenate(out)


CONFIGS = [
    HashGridConfig(3, 2, 12, base_resolution=4, growth=1.5),  # all dense
    HashGridConfig(2, 4, 8, base_resolution=32, growth=1.7),  # all hashed
    HashGridConfig(4, 1, 9, base_resolution=5, growth=1.6),  # mixed
    HashGridConfig(4, 2, 7, base_resolution=6, growth=1.5, dimensions=2),
    HashGridConfig(3, 2, 12, base_resolution=8, growth=2.0),  # levels aligned: growth of two
]


def points(c: HashGridConfig, n: int = 200) -> np.ndarray:
    rng = np.random.default_rng(3)
    x = rng.uniform(size=(n, c.dimensions)).astype(np.float32)
    x[0], x[1] = 0, 1
    aligned = (np.arange(c.base_resolution) / (c.base_resolution - 1)).astype(np.float32)
    x[2 : 2 + len(aligned), 0] = aligned
    return x


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_values_equal_the_loop(config: HashGridConfig, backend: str) -> None:
    grid = HashGrid(config, backend)  # type: ignore[arg-type]
    with torch.no_grad():
        grid.params.copy_(torch.randn(grid.params.shape))
    x = points(config)
    wanted = np.array([loop(p, grid.params.detach().numpy(), config) for p in x])
    got = grid(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(got, wanted, atol=3e-4)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_torch_gradients_by_finite_differences(config: HashGridConfig) -> None:
    grid = HashGrid(config, "torch").double()
    with torch.no_grad():
        grid.params.copy_(torch.randn(grid.params.shape))
    rng = np.random.default_rng(0)
    # Away from cell walls, where the interpolation has a kink.
    x = torch.from_numpy(rng.uniform(0.02, 0.98, (4, config.dimensions))).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: grid(v), (x,), eps=1e-7, atol=1e-4)
    names = grid.params.detach().clone().requires_grad_()

    def of_params(p: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(grid, {"params": p}, (x.detach(),))

    assert torch.autograd.gradcheck(of_params, (names,), eps=1e-6, atol=1e-6, fast_mode=True)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_numba_gradients_equal_torch_in_float64(config: HashGridConfig) -> None:
    fast = HashGrid(config, "numba")
    with torch.no_grad():
        fast.params.copy_(torch.randn(fast.params.shape))
    exact = HashGrid(config, "torch").double()
    exact.load_state_dict(fast.state_dict())
    inner = points(config)[40:] * 0.98 + 0.01
    pull = torch.randn(len(inner), config.width)
    x32 = torch.from_numpy(inner).requires_grad_()
    x64 = torch.from_numpy(inner.astype(np.float64)).requires_grad_()
    fast(x32).backward(pull)
    exact(x64).backward(pull.double())
    assert fast.params.grad is not None
    assert exact.params.grad is not None
    assert x32.grad is not None
    assert x64.grad is not None
    np.testing.assert_allclose(fast.params.grad, exact.params.grad, atol=2e-4)
    np.testing.assert_allclose(x32.grad, x64.grad, atol=2e-2, rtol=1e-3)


EIGHT = HashGridConfig(2, 8, 9, base_resolution=7, growth=1.6)


@pytest.mark.parametrize("config", [*(c for c in CONFIGS if c.dimensions == 3), EIGHT], ids=str)
def test_tile_kernels_equal_the_loop_and_the_point_kernels(config: HashGridConfig) -> None:
    geometry = grid_geometry(config)
    x = points(config)
    n, tile = len(x), 256
    rng = np.random.default_rng(1)
    table = rng.normal(size=(geometry.total, config.features)).astype(np.float32)
    index = np.zeros((8, tile), np.int32)
    fraction = np.zeros((3, tile), np.float32)
    out = np.zeros((config.width, tile), np.float32)
    across = np.zeros((3, tile), np.float32)
    across[:, :n] = x.T
    packed, scales = geometry.packed(), geometry.scales
    encode(across, table, packed, scales, n, index, fraction, out)
    wanted = np.array([loop(p, table.reshape(-1), config) for p in x])
    np.testing.assert_allclose(out[:, :n].T, wanted, atol=3e-4)

    pull = rng.normal(size=(config.width, tile)).astype(np.float32)
    d_table, d_x = np.zeros_like(table), np.zeros((3, tile), np.float32)
    scratch = (index, fraction)
    for level in range(config.levels):
        encode_grad_level(
            level, across, pull, table, packed, scales, n, *scratch, d_table, d_x, True
        )
    exact = HashGrid(config, "numba")
    with torch.no_grad():
        exact.params.copy_(torch.from_numpy(table.reshape(-1)))
    xt = torch.from_numpy(x).requires_grad_()
    exact(xt).backward(torch.from_numpy(np.ascontiguousarray(pull[:, :n].T)))
    assert exact.params.grad is not None
    assert xt.grad is not None
    np.testing.assert_allclose(d_table.reshape(-1), exact.params.grad, atol=1e-3)
    np.testing.assert_allclose(d_x[:, :n].T, xt.grad, atol=2e-2, rtol=1e-3)


def test_geometry_by_hand() -> None:
    # base 4, growth 2: scales 3, 7, 15; resolutions 4, 8, 16; 64, 512, 4096 vertices; tables of
    # 2^9.
    g = grid_geometry(HashGridConfig(3, 2, 9, base_resolution=4, growth=2.0))
    assert g.scales.tolist() == [3.0, 7.0, 15.0]
    assert g.resolutions.tolist() == [4, 8, 16]
    assert g.entries.tolist() == [64, 512, 512]
    assert g.offsets.tolist() == [0, 64, 576]
    assert g.dense.tolist() == [True, True, False]


def test_a_backend_asked_for_is_never_replaced_in_silence() -> None:
    config = CONFIGS[0]
    with pytest.raises(BackendError, match="float32 on the CPU"):
        HashGrid(config, "numba").double()(torch.zeros(1, 3, dtype=torch.float64))
    if not torch.cuda.is_available():
        with pytest.raises(BackendError, match="no CUDA device"):
            HashGrid(config, "tcnn")(torch.zeros(1, 3))
    assert resolve_backend("auto", torch.zeros(1), config) == "numba"
    assert resolve_backend("auto", torch.zeros(1, dtype=torch.float64), config) == "torch"


def test_shapes_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="log2_entries = 30"):
        HashGridConfig(log2_entries=30)
    with pytest.raises(ConfigError, match="made for 3"):
        HashGrid(CONFIGS[0])(torch.zeros(1, 2))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tcnn_equals_torch_within_half_precision() -> None:
    pytest.importorskip("tinycudann")
    config = HashGridConfig(8, 2, 14, base_resolution=16, growth=1.5)
    grid = HashGrid(config, "tcnn").cuda()
    with torch.no_grad():
        grid.params.copy_(torch.randn(grid.params.shape))
    exact = HashGrid(config, "torch").double()
    exact.load_state_dict({k: v.cpu() for k, v in grid.state_dict().items()})
    x = torch.rand(100_000, 3)
    got, wanted = grid(x.cuda()).cpu().double(), exact(x.double())
    assert float((got - wanted).abs().max() / wanted.abs().max()) < 2e-3


def test_the_gpu_marker_skips_without_a_gpu() -> None:
    marks = getattr(test_tcnn_equals_torch_within_half_precision, "pytestmark")  # noqa: B009
    conditions = [m.args[0] for m in marks if m.name == "skipif"]
    assert conditions == [not torch.cuda.is_available()]
