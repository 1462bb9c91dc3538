"""Two engines, one training: the portable step against the compiled one, and its own parts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from render.cameras import camera_rays, head_box, pixel_grid, visual_hull
from render.engine import make_engine
from render.engine_fused import FusedEngine
from render.engine_torch import TorchEngine
from render.engine_types import PictureRays, StepPlan
from render.errors import BackendError
from render.field import FieldConfig
from render.hash_grid_config import HashGridConfig
from render.head import load_head
from render.head_config import HeadConfig
from render.head_data import HeadData
from render.masks import head_mask
from render.metrics import score_head
from render.occupancy import Occupancy, OccupancyConfig, grown
from render.sh import spherical_harmonics
from render.torch_draw import DeviceSampler, splitmix, units
from render.torch_march import march
from render.torch_occupancy import DeviceOccupancy
from render.torch_rays import RayTensors
from render.trainer import train_head

Maker = Callable[[int, int], HeadData]

CONFIG = HeadConfig(
    field=FieldConfig(
        HashGridConfig(4, 2, 10, base_resolution=6, growth=1.5),
        coefficients=2,
        expression_resolution=6,
        ambient=2,
        geometry=8,
        density_width=16,
        colour_width=16,
        sh_degree=2,
        appearance=3,
        frames=40,
    ),
    occupancy=OccupancyConfig(resolution=16, warm_up=4, every=2),
    steps=12,
    rays=96,
    march_steps=24,
    coarse_march_steps=24,
    threads=2,
    seed=3,
)


@pytest.fixture(scope="module")
def data(make_head_data: Maker) -> HeadData:
    return make_head_data(60, 3).training()


def engines(data: HeadData, dtype: torch.dtype) -> tuple[FusedEngine, TorchEngine]:
    masks = head_mask(data.labels)
    box = head_box(masks, data.cameras, data.focal)
    hull = grown(visual_hull(masks, data.cameras, data.focal, box, 16), 1)
    fused = FusedEngine(CONFIG, data, box, hull)
    portable = TorchEngine(CONFIG, data, box, hull, torch.device("cpu"), dtype)
    rng = np.random.default_rng(0)
    state = fused.state()
    # A fresh expression grid and fresh codes are zero: nothing would be compared.
    state["theta"] = state["theta"] + rng.normal(size=len(state["theta"])).astype(np.float32) * 0.1
    state["ema"] = state["theta"].copy()
    fused.load(state)
    portable.load(state)
    return fused, portable


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 2e-3), (torch.float64, 2e-3)])
def test_both_engines_take_the_same_steps(data: HeadData, dtype: torch.dtype, close: float) -> None:
    fused, portable = engines(data, dtype)
    for number in range(6):
        plan = StepPlan(number, CONFIG.rays, 1 / 24, 0.9, 0.8)
        batch = fused.sampler.draw(number, CONFIG.rays)
        fused.gradients(plan)
        portable.number.fill_(number)
        portable.fade.fill_(plan.fade)
        portable.ema_decay.fill_(plan.ema_decay)
        portable.add(RayTensors.of(batch, "cpu", dtype), plan.march_step)
        wanted, got = fused.fused.gradients().sum(0), portable.field.grad.numpy()
        for name, (lo, hi) in fused.fused.segments.items():
            largest = np.abs(wanted[lo:hi]).max()
            assert largest > 0, name
            error = np.abs(wanted[lo:hi] - got[lo:hi]).max() / largest
            assert error < 5e-3, f"step {number}, {name}: {error:.1e} of the largest gradient"
        a, b = fused.sums(), portable.sums()
        assert a.loss == pytest.approx(b.loss, rel=close)
        assert a.squared_error == pytest.approx(b.squared_error, rel=close)
        assert abs(a.samples - b.samples) <= 3  # float32 marching meets a cell wall now and then
        assert abs(a.rays_hit - b.rays_hit) <= 1
        fused.descend(plan)
        portable.descend(plan)
        # Adam divides by the gradient's size: where that is next to nothing, its sign is chance.
        first, second = fused.state(), portable.state()
        for name in ("theta", "ema"):
            off = np.abs(first[name] - second[name]) > 0.02 * np.abs(first[name]).max()
            assert off.mean() < 5e-3, f"step {number}: {name} differs in {off.mean():.1%}"
        assert (first["occupied"] == second["occupied"]).mean() > 0.995
        assert first["occupied"].any()
        portable.load(first)


def picture_rays(data: HeadData, size: int) -> PictureRays:
    masks = head_mask(data.labels)
    where = head_box(masks, data.cameras, data.focal)
    o, d = camera_rays(
        data.cameras[0], data.focal * size / data.size, size, where, pixel_grid(size)
    )
    harmonics = spherical_harmonics(torch.from_numpy(d), 2).numpy()
    rng = np.random.default_rng(1)
    alpha = np.tile(data.alpha[0].astype(np.float32), (size * size, 1))
    under = rng.uniform(size=(size * size, 3)).astype(np.float32)
    return PictureRays(o, d, np.ascontiguousarray(harmonics), alpha, under)


def test_a_whole_heads_gradient_is_the_pictures(data: HeadData) -> None:
    fused, portable = engines(data, torch.float32)
    rays = picture_rays(data, 24)
    shown = fused.picture(rays, 1 / 24)
    o, d, alpha = (torch.from_numpy(x) for x in (rays.origins, rays.directions, rays.alpha))
    whole = portable.field.shade_chunk(o, d, alpha, portable.occupancy.mask, 1 / 24)
    rgb, opacity = whole[:, :3].detach().numpy(), whole[:, 3:].detach().numpy()
    np.testing.assert_allclose(rgb + (1 - opacity) * rays.background, shown, atol=2e-3)
    np.testing.assert_allclose(portable.picture(rays, 1 / 24), shown, atol=2e-3)
    pull = np.random.default_rng(2).normal(size=shown.shape).astype(np.float32)
    fused.pull(rays, pull, 1 / 24)
    portable.pull(rays, pull, 1 / 24)
    wanted, got = portable.field.grad.numpy(), fused.fused.gradients().sum(0)
    for name, (lo, hi) in fused.fused.segments.items():
        largest = np.abs(wanted[lo:hi]).max()
        if name == "codes":
            assert largest == 0
            assert not got[lo:hi].any()  # no frame's own code learns from a whole head
            continue
        assert np.abs(wanted[lo:hi] - got[lo:hi]).max() < 0.01 * largest, name

    # By finite differences along the gradient: the picture moves as it says.
    before = float((pull * shown).sum())
    direction = got / np.linalg.norm(got)
    h = 1e-3
    fused.fused.theta[:] += h * direction
    after = float((pull * fused.picture(rays, 1 / 24)).sum())
    assert (after - before) / h == pytest.approx(float(got @ direction), rel=0.08)


def test_marching_with_room_for_all_is_marching(data: HeadData) -> None:
    rng = np.random.default_rng(4)
    occupied = torch.from_numpy(rng.uniform(size=(12, 12, 12)) < 0.3)
    o = torch.tensor([[0.5, 0.5, -1.0]]).repeat(50, 1)
    aim = torch.from_numpy(rng.uniform(-0.2, 1.2, (50, 3)).astype(np.float32))
    d = torch.nn.functional.normalize(aim - o, dim=1)
    jitter = torch.from_numpy(rng.uniform(size=50).astype(np.float32))
    exact = march(o, d, jitter, occupied, 1 / 24, 20)
    assert len(exact.ray) > 100
    roomy = march(o, d, jitter, occupied, 1 / 24, 20, len(exact.ray) + 7)
    n = len(exact.ray)
    assert torch.equal(roomy.ray[:n], exact.ray)
    assert torch.equal(roomy.t[:n], exact.t)
    assert bool((roomy.ray[n:] == 50).all())
    tight = march(o, d, jitter, occupied, 1 / 24, 20, n - 30)
    assert torch.equal(tight.ray, exact.ray[: n - 30])
    assert int(tight.wanted) == n == int(exact.wanted)
    x = o[exact.ray] + exact.t[:, None] * d[exact.ray]
    cell = (x * 12).long().clamp(0, 11)
    assert bool(occupied[cell[:, 2], cell[:, 1], cell[:, 0]].all())


def test_a_step_with_fixed_room_is_the_same_step(data: HeadData) -> None:
    _, portable = engines(data, torch.float32)
    batch = portable.sampler.draw(torch.tensor(5), 64)
    portable.add(batch, 1 / 24)
    exact, sums = portable.field.grad.clone(), portable.sums()
    portable.field.grad.zero_()
    portable.add(batch, 1 / 24, sums.samples + 40)
    np.testing.assert_allclose(portable.field.grad, exact, atol=1e-6)
    assert portable.sums().samples == sums.samples
    portable.field.grad.zero_()
    portable.add(batch, 1 / 24, sums.samples - 25)
    assert portable.sums().dropped == 25
    assert bool(portable.field.grad.isfinite().all())


def test_rays_are_drawn_where_the_chances_say(data: HeadData) -> None:
    box = head_box(head_mask(data.labels), data.cameras, data.focal)
    config = CONFIG.sampling
    sampler = DeviceSampler(data, box, config, 1, torch.device("cpu"))
    n = 60_000
    batch = sampler.draw(torch.tensor(0), n)
    # Rays of the numba kernel, drawn by rejection: the same shares of frames and of mattes.
    fused = FusedEngine(CONFIG, data, box, np.ones((16, 16, 16), bool))
    other = fused.sampler.draw(0, n)
    assert other.frame is not None
    ours, theirs = (np.bincount(f, minlength=40) / n for f in (batch.frame.numpy(), other.frame))
    assert np.abs(ours - theirs).max() < 0.004
    for a, b in ((batch.matte.numpy(), other.matte), (batch.target.numpy(), other.target)):
        bins = np.linspace(0, 1, 9)
        assert (
            np.abs(np.histogram(a, bins)[0] / a.size - np.histogram(b, bins)[0] / b.size).max()
            < 0.006
        )
    for a, b in ((batch.origins, other.origins), (batch.directions, other.directions)):
        np.testing.assert_allclose(a.numpy().mean(0), b.mean(0), atol=4e-3)
        np.testing.assert_allclose(a.numpy().std(0), b.std(0), atol=4e-3)
    # A ray, its colour and its frame belong together: project the ray back to its pixel.
    i = int(batch.frame[7])
    camera = data.cameras[i]
    at = batch.origins[7].numpy() * box.side + np.array(box.low) + 5 * batch.directions[7].numpy()
    x = camera[:, :3] @ at + camera[:, 3]
    u, v = (data.focal * x[:2] / x[2] + data.size / 2).astype(int)
    np.testing.assert_allclose(batch.target[7].numpy(), data.frames[i, v, u] / 255, atol=1e-6)
    again = sampler.draw(torch.tensor(0), n)
    assert torch.equal(again.directions, batch.directions)
    assert not torch.equal(sampler.draw(torch.tensor(1), n).directions, batch.directions)


def test_random_numbers_are_stirred() -> None:
    # splitmix64's first value from state 0, as published with the algorithm.
    assert int(splitmix(torch.tensor(0))) & (2**64 - 1) == 0xE220A8397B1DCDAF
    u = units(torch.tensor(9), 2000, 5).numpy()
    assert u.min() >= 0
    assert u.max() < 1
    np.testing.assert_allclose(u.mean(0), 0.5, atol=0.03)
    assert np.abs(np.corrcoef(u.T) - np.eye(5)).max() < 0.08


def test_occupancy_on_a_device_is_occupancy() -> None:
    rng = np.random.default_rng(6)
    hull = rng.uniform(size=(12, 12, 12)) < 0.9
    config = OccupancyConfig(resolution=12, warm_up=2, growth=2)
    ours, theirs = DeviceOccupancy(config, hull, torch.device("cpu")), Occupancy(config, hull)
    for step in range(1, 6):
        x = rng.uniform(size=(40, 3)).astype(np.float32)
        w = rng.uniform(0, 0.02, 40).astype(np.float32)
        ours.see(torch.from_numpy(x), torch.from_numpy(w))
        c = (x * 12).astype(int)
        np.maximum.at(theirs.seen[0], (c[:, 2], c[:, 1], c[:, 0]), w)
        ours.update(step)
        theirs.update(step)
        np.testing.assert_array_equal(ours.mask.numpy(), theirs.mask)
        np.testing.assert_allclose(ours.values.numpy(), theirs.values, rtol=1e-6)
    assert not theirs.mask.all()


def test_growth_goes_through_walls() -> None:
    mask = np.zeros((7, 7, 7), bool)
    mask[3, 3, 3] = mask[0, 6, 0] = True
    assert grown(mask, 1).sum() == 7 + 4
    assert grown(mask, 2).sum() == 25 + 10  # |x| + |y| + |z| <= 2: all of it, and one octant
    assert grown(mask, 0) is mask


LEARNING = replace(CONFIG, device="cpu", steps=50, rays=128, report_every=25)


@pytest.fixture(scope="module")
def compiled_score(make_head_data: Maker, tmp_path_factory: pytest.TempPathFactory) -> float:
    whole = make_head_data(60, 3)
    config = replace(LEARNING, engine="numba")
    return score_head(train_head(whole, config, tmp_path_factory.mktemp("head")), whole, 3).psnr


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_portable_engine_learns_as_the_compiled_one(
    make_head_data: Maker, tmp_path: Path, precision: str, compiled_score: float
) -> None:
    whole = make_head_data(60, 3)
    config = replace(LEARNING, engine="torch", precision=precision)
    told: list[dict[str, float]] = []
    head = train_head(whole, config, tmp_path, lambda s, t, m: told.append(m))
    assert told[-1]["psnr"] > told[0]["psnr"] + 0.5
    assert score_head(head, whole, 3).psnr == pytest.approx(compiled_score, abs=0.7)
    again = load_head(tmp_path, threads=1, device="cpu")
    a, _ = head.render(whole.cameras[2], whole.alpha[2], 32)
    b, _ = again.render(whole.cameras[2], whole.alpha[2], 32)
    np.testing.assert_allclose(a, b, atol=0.05 if precision == "bfloat16" else 3e-3)


def test_a_run_goes_on_with_the_other_engine(make_head_data: Maker, tmp_path: Path) -> None:
    whole = make_head_data(60, 3)

    class Killed(Exception):
        pass

    def kill(step: int, total: int, metrics: dict[str, float]) -> None:
        if step == 20:
            raise Killed

    config = replace(CONFIG, steps=40, save_every=0.0, report_every=10)
    with pytest.raises(Killed):
        train_head(whole, replace(config, engine="numba"), tmp_path, kill)
    steps: list[int] = []
    other = replace(config, engine="torch", device="cpu")
    head = train_head(whole, other, tmp_path, lambda s, t, m: steps.append(s))
    assert steps == [20, 30, 40]
    assert head.facts["steps"] == 40
    assert [point["step"] for point in head.facts["curve"]] == [10, 20, 30, 40]


def test_what_cannot_run_here_says_so(data: HeadData) -> None:
    box = head_box(head_mask(data.labels), data.cameras, data.focal)
    hull = np.ones((16, 16, 16), bool)
    with pytest.raises(BackendError, match="graphs = true needs CUDA"):
        TorchEngine(replace(CONFIG, graphs=True), data, box, hull, torch.device("cpu"))
    with pytest.raises(BackendError, match="device 'warp' cannot be used"):
        make_engine(replace(CONFIG, device="warp"), data, box, hull)
    if not torch.cuda.is_available():
        with pytest.raises(BackendError, match="device 'cuda' cannot be used"):
            make_engine(replace(CONFIG, device="cuda"), data, box, hull)
