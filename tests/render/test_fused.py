"""The compiled field against the PyTorch field in float64: values and every gradient."""

import numpy as np
import pytest
import torch

from render.field import Field, FieldConfig
from render.fused import FusedField, RayBatch
from render.hash_grid_config import HashGridConfig
from render.sh import spherical_harmonics
from render.torch_rays import ray_loss
from render.volume import render_packed, render_weights

STEP = 1 / 32


def small(expression: int = 5) -> Field:
    config = FieldConfig(
        HashGridConfig(3, 2, 8, base_resolution=4, growth=1.7),
        coefficients=3,
        expression_resolution=expression,
        ambient=2,
        geometry=8,
        density_width=12,
        colour_width=8,
        sh_degree=2,
        density_bias=1.0,
    )
    field = Field(config, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        field.grid.params.copy_(torch.randn(field.grid.params.shape, generator=generator))
        if field.expression is not None:
            values = torch.randn(field.expression.values.shape, generator=generator)
            field.expression.values.copy_(values)
    return field


def batch_of(n: int, k: int = 3) -> RayBatch:
    rng = np.random.default_rng(0)
    origins = np.tile(np.array([0.5, 0.5, -1.0], np.float32), (n, 1))
    aim = rng.uniform(0.1, 0.9, (n, 3)).astype(np.float32) * [1, 1, 0] + [0, 0, 0.5]
    d = (aim - origins).astype(np.float32)
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    sh = spherical_harmonics(torch.from_numpy(d), 2).numpy()

    def uniform(*shape: int) -> np.ndarray:
        return rng.uniform(0, 1, shape).astype(np.float32)

    return RayBatch(
        origins,
        d,
        np.ascontiguousarray(sh),
        rng.normal(size=(n, k)).astype(np.float32),
        uniform(n, 3),
        uniform(n),
        uniform(n, 3),
        uniform(n),
        uniform(n),
    )


def reference_loss(
    field: Field,
    batch: RayBatch,
    occupied: np.ndarray,
    opacity_weight: float,
    distortion_weight: float = 0.0,
) -> tuple[torch.Tensor, int]:
    """The loss by PyTorch in float64, samples laid out one by one."""
    res = occupied.shape[0]
    points, rays, ts = [], [], []
    for r in range(len(batch.origins)):
        o, d = batch.origins[r].astype(np.float64), batch.directions[r].astype(np.float64)
        t0, t1 = -o / d, (1 - o) / d
        near, far = np.minimum(t0, t1).max(), np.maximum(t0, t1).min()
        t = near + float(batch.jitter[r]) * STEP
        while t < far:
            x = o + t * d
            c = np.clip((x * res).astype(int), 0, res - 1)
            if occupied[c[2], c[1], c[0]]:
                points.append(np.clip(x, 0, 1))
                rays.append(r)
                ts.append(t)
            t += STEP
    ray = torch.tensor(rays)
    x = torch.tensor(np.array(points))
    alpha = torch.from_numpy(batch.alpha).double()[ray]
    d = torch.from_numpy(batch.directions).double()[ray]
    colour, sigma = field(x, alpha, d)
    n = len(batch.origins)
    rgb, opacity = render_packed(colour, sigma, torch.full_like(sigma, STEP), ray, n)
    matte = torch.from_numpy(batch.matte).double()
    bg = torch.from_numpy(batch.background).double()
    wanted = matte[:, None] * torch.from_numpy(batch.target) + (1 - matte[:, None]) * bg
    shown = rgb + (1 - opacity[:, None]) * bg
    loss = ((shown - wanted) ** 2).mean(1) + opacity_weight * (opacity - matte) ** 2
    w, at = render_weights(sigma, torch.full_like(sigma, STEP), ray), torch.tensor(ts)
    same = ray[:, None] == ray[None]
    pairs = same * w[:, None] * w[None] * (at[:, None] - at[None]).abs()
    loss = loss.index_add(0, ray, distortion_weight * (pairs.sum(1) + w * w * STEP / 3))
    return (loss * torch.from_numpy(batch.importance)).sum(), len(points)


@pytest.mark.parametrize("expression", [5, 0])
@pytest.mark.parametrize("threads", [1, 2])
def test_loss_and_gradients_equal_pytorch_in_float64(expression: int, threads: int) -> None:
    field = small(expression)
    exact = small(expression).double()
    fused = FusedField(field, threads=threads)
    rng = np.random.default_rng(5)
    occupied = rng.uniform(size=(16, 16, 16)) < 0.5
    batch = batch_of(37)
    report = fused.train(batch, occupied, STEP, 128, 0.3, 0.7)
    loss, samples = reference_loss(exact, batch, occupied, 0.3, 0.7)
    loss.backward()
    assert abs(report.samples - samples) <= 2  # float32 marching meets a cell wall now and then
    assert report.loss == pytest.approx(loss.item(), rel=2e-3)
    grads = fused.gradients().sum(0)
    for name, parameter in exact.named_parameters():
        lo, hi = fused.segments[name]
        assert parameter.grad is not None
        wanted = parameter.grad.numpy().reshape(-1)
        got = grads[lo:hi]
        scale = np.abs(wanted).max()
        assert scale > 0, name
        error = np.abs(got - wanted).max() / scale
        assert error < 5e-3, f"{name}: {error:.2e} of the largest gradient"


def test_rendering_equals_training_forward_and_pytorch() -> None:
    field = small()
    fused = FusedField(field, threads=2)
    occupied = np.ones((8, 8, 8), bool)
    batch = batch_of(50)
    out, samples = fused.render(
        batch.origins, batch.directions, batch.harmonics, batch.alpha, occupied, STEP, stop=0.0
    )
    exact = small().double()
    zero = np.zeros_like(batch.background)
    middle = np.full_like(batch.jitter, 0.5)
    over_black = RayBatch(
        batch.origins,
        batch.directions,
        batch.harmonics,
        batch.alpha,
        zero,
        np.zeros_like(batch.matte),
        zero,
        np.ones_like(batch.importance),
        middle,
    )
    loss, wanted_samples = reference_loss(exact, over_black, occupied, 1.0)
    assert samples == pytest.approx(wanted_samples, abs=3)
    got = float((out[:, :3] ** 2).mean(1).sum() + (out[:, 3] ** 2).sum())
    assert got == pytest.approx(loss.item(), rel=2e-3)


def test_density_equals_pytorch() -> None:
    field = small()
    fused = FusedField(field)
    rng = np.random.default_rng(3)
    x = rng.uniform(size=(1000, 3)).astype(np.float32)
    alpha = rng.normal(size=(1000, 3)).astype(np.float32)
    exact = small().double()
    wanted, _ = exact.density(torch.from_numpy(x).double(), torch.from_numpy(alpha).double())
    np.testing.assert_allclose(fused.density(x, alpha), wanted.detach().numpy(), rtol=2e-3)


def test_fused_parameters_are_the_fields_parameters() -> None:
    field = small()
    fused = FusedField(field)
    fused.theta[:] = 0.25
    assert all(bool((p == 0.25).all()) for p in field.parameters())


def test_the_pytorch_step_has_the_same_loss() -> None:
    rng = np.random.default_rng(5)
    occupied = rng.uniform(size=(16, 16, 16)) < 0.5
    batch = batch_of(37)
    wanted, samples = reference_loss(small().double(), batch, occupied, 0.3, 0.7)
    field = small()
    loss, n = ray_loss(field, batch, occupied, STEP, 128, 0.3, 0.7)
    assert abs(n - samples) <= 2
    assert loss.item() == pytest.approx(wanted.item(), rel=2e-3)
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in field.parameters())
