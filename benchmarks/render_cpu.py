"""How fast one head trains and renders on this CPU, beside what peers would run.

One table from one run: the fused step, the same step in PyTorch with the numba and with the plain
PyTorch hash grid, and a vanilla 8 x 256 NeRF MLP (10 frequencies, as AD-NeRF). Same rays, samples
and loss everywhere; sample points a second of the whole step (encode, nets, rendering, backward,
Adam).

With --growth instead: milliseconds of a trainer's step on a synthetic head against rays, frame size
and number of frames.

    python -m benchmarks.render_cpu [--threads 2] [--seconds 5] [--growth]
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.synthetic_head import synthetic_head
from render.cameras import head_box, visual_hull
from render.engine_fused import FusedEngine
from render.engine_types import StepPlan
from render.field import Field, FieldConfig
from render.fused import FusedField, RayBatch, optimise
from render.hash_grid import HashGrid
from render.hash_grid_config import HashGridConfig
from render.hash_grid_torch import PRIMES, corner_weights
from render.head_config import HeadConfig
from render.masks import head_mask
from render.sh import spherical_harmonics
from render.torch_rays import ray_loss

STEP = 1 / 48
RAYS = 1024
SAMPLES = 64
RATES = {"grid": 1e-2, "expression": 5e-3, "matrices": 5e-3}


class VanillaField(nn.Module):
    """NeRF's MLP: 10 frequencies of x beside α, eight layers of 256; a colour layer of 128."""

    def __init__(self, coefficients: int = 10) -> None:
        """Default PyTorch initialisation."""
        super().__init__()
        widths = [63 + coefficients] + [256] * 8
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(widths):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.density = nn.Linear(256, 1)
        self.colour = nn.Sequential(nn.Linear(256 + 27, 128), nn.ReLU(), nn.Linear(128, 3))

    def forward(self, x: Tensor, alpha: Tensor, d: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        """Colour and σ."""

        def waves(v: Tensor, n: int) -> Tensor:
            f = v[:, None] * (2.0 ** torch.arange(n))[None, :, None]
            return torch.cat([v, f.sin().flatten(1), f.cos().flatten(1)], 1)

        h = self.trunk(torch.cat([waves(x, 10), alpha], 1))
        sigma = (self.density(h)[:, 0] + 2).clamp(max=15).exp()
        return self.colour(torch.cat([h, waves(d, 4)], 1)).sigmoid(), sigma


class BagGrid(nn.Module):
    """A hash grid as one writes it first: a weighted bag of eight embeddings a level."""

    def __init__(self, config: HashGridConfig) -> None:
        """The tables of `HashGrid`, one module a level."""
        super().__init__()
        self.grid = HashGrid(config)
        sizes = self.grid.geometry.entries.tolist()
        self.tables = nn.ModuleList(nn.EmbeddingBag(n, config.features, mode="sum") for n in sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Features [N, L F] of places in [0, 1]³."""
        g, out = self.grid.geometry, []
        for level, table in enumerate(self.tables):
            position = x * float(g.scales[level]) + 0.5
            cell = position.detach().floor()
            weights = corner_weights(position - cell, UPPER)
            vertex = cell.long()[:, None] + UPPER.long()
            if g.dense[level]:
                r = int(g.resolutions[level])
                index = vertex[..., 0] + r * (vertex[..., 1] + r * vertex[..., 2])
            else:
                index = vertex[..., 0] ^ (vertex[..., 1] * PRIMES[1]) ^ (vertex[..., 2] * PRIMES[2])
            out.append(table(index % int(g.entries[level]), per_sample_weights=weights))
        return torch.cat(out, 1)


UPPER = torch.tensor([[bool((corner >> axis) & 1) for axis in range(3)] for corner in range(8)])


def bag_field(config: FieldConfig) -> Field:
    """The field over a `BagGrid`."""
    field = Field(config)
    field.grid = BagGrid(config.grid)  # type: ignore[assignment]
    return field


def scene(rays: int, k: int, sh_degree: int) -> tuple[RayBatch, np.ndarray]:
    """Rays at a spherical shell four cells thick: what a settled head looks like to the marcher."""
    rng = np.random.default_rng(0)
    aim = rng.uniform(0.2, 0.8, (rays, 2))
    aim = aim[np.lexsort((aim[:, 0], (aim[:, 1] * 48).astype(int)))]
    target = np.concatenate([aim, np.full((rays, 1), 0.5)], 1)
    origins = np.tile([0.5, 0.5, -4.0], (rays, 1))
    d = target - origins
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    axis = (np.arange(64) + 0.5) / 64 - 0.5
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    radius = np.sqrt(x * x + y * y + z * z)
    occupied = (np.abs(radius - 0.4) < 0.07) & (z < 0.1)

    def f4(a: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(a, np.float32)

    directions = f4(d)
    harmonics = spherical_harmonics(torch.from_numpy(directions), sh_degree).numpy()
    batch = RayBatch(
        f4(origins),
        directions,
        f4(harmonics),
        f4(rng.normal(size=(rays, k))),
        f4(rng.uniform(size=(rays, 3))),
        f4(np.ones(rays)),
        f4(rng.uniform(size=(rays, 3))),
        f4(np.full(rays, 1 / rays)),
        f4(rng.uniform(size=rays)),
    )
    return batch, occupied


def rate_of(step: Callable[[], int], seconds: float) -> tuple[float, float]:
    """Samples a second of wall time, and of CPU time, of a step; one more goes before to warm up.

    On a machine that does other work too, only the second figure means something.
    """
    step()
    samples, began, spent = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        samples += step()
    return samples / (time.perf_counter() - began), samples / (time.process_time() - spent)


def fused_step(config: FieldConfig, threads: int) -> Callable[[], int]:
    """The CPU path as trained."""
    batch, occupied = scene(RAYS, config.coefficients, config.sh_degree)
    fused = FusedField(Field(config), threads)
    first, second = np.zeros_like(fused.theta), np.zeros_like(fused.theta)
    ema = fused.theta.copy()
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        report = fused.train(batch, occupied, STEP, SAMPLES, 0.2, 0.02)
        decay = 1.0 if count % 10 else 0.9
        optimise(fused, first, second, ema, RATES, count, ema_decay=decay)
        return report.samples

    return step


def torch_step(field: nn.Module, rays: int, config: FieldConfig) -> Callable[[], int]:
    """The same step through autograd."""
    batch, occupied = scene(rays, config.coefficients, config.sh_degree)
    adam = torch.optim.Adam(field.parameters(), lr=5e-3, betas=(0.9, 0.99), eps=1e-15)

    def step() -> int:
        loss, samples = ray_loss(field, batch, occupied, STEP, SAMPLES, 0.2, 0.02)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return samples

    return step


def render_rate(
    config: FieldConfig, threads: int, size: int, seconds: float
) -> tuple[float, float]:
    """Frames a second of a size x size picture of the shell."""
    batch, occupied = scene(size * size, config.coefficients, config.sh_degree)
    fused = FusedField(Field(config), threads)

    def frame() -> int:
        fused.render(batch.origins, batch.directions, batch.harmonics, batch.alpha, occupied, STEP)
        return 1

    return rate_of(frame, seconds)


def step_time(rays: int, size: int, frames: int, threads: int, seconds: float) -> float:
    """Milliseconds of a whole step (drawing included) after 150 steps on a synthetic head."""
    data = synthetic_head(frames, 2, size).training()
    config = HeadConfig(rays=rays, threads=threads, device="cpu")
    config = replace(config, field=replace(config.field, coefficients=2))
    some = np.linspace(0, len(data.frames) - 1, 20).astype(int)
    masks = head_mask(data.labels[some])
    box = head_box(masks, data.cameras[some], data.focal)
    hull = visual_hull(masks, data.cameras[some], data.focal, box, config.occupancy.resolution)
    engine = FusedEngine(config, data, box, hull)
    number, began = 0, 0.0
    while True:
        plan = StepPlan(number, rays, 1 / config.march_steps, 1.0, 0.9 if number % 10 == 0 else 1.0)
        engine.gradients(plan)
        engine.descend(plan)
        number += 1
        if number == 150:
            began = time.perf_counter()
        if number > 150 and time.perf_counter() - began > seconds:
            return (time.perf_counter() - began) / (number - 150) * 1e3


def growth(threads: int, seconds: float) -> None:
    """Print one JSON line a setting; each differs from 512 rays, 128², 200 frames in one thing."""
    base = {"rays": 512, "size": 128, "frames": 200}
    changes = [
        {},
        *({"rays": n} for n in (128, 256, 1024, 2048)),
        *({"size": n} for n in (64, 256)),
        *({"frames": n} for n in (50, 800)),
    ]
    for change in changes:
        setting = base | change
        print(
            json.dumps(
                setting | {"ms": round(step_time(**setting, threads=threads, seconds=seconds), 2)}
            )
        )


def main() -> None:
    """Print one JSON line a row, and the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.growth:
        growth(args.threads, args.seconds)
        return
    ours = FieldConfig()
    paper = FieldConfig(HashGridConfig(16, 2, 15, base_resolution=16, growth=1.2))
    plain = FieldConfig(paper.grid, expression_resolution=0)
    steps: dict[str, Callable[[], int]] = {
        "fused, head's default (8 x 4, 2^15, expression grid)": fused_step(ours, args.threads),
        "fused, 16 x 2, 2^15, expression grid": fused_step(paper, args.threads),
        "fused, 16 x 2, 2^15, α concatenated": fused_step(plain, args.threads),
        "PyTorch, numba hash grid, 16 x 2": torch_step(Field(plain, backend="numba"), RAYS, plain),
        "PyTorch, portable hash grid, 16 x 2": torch_step(
            Field(plain, backend="torch"), RAYS // 4, plain
        ),
        "PyTorch, plain hash grid (embedding bags), 16 x 2": torch_step(
            bag_field(plain), RAYS // 8, plain
        ),
        "PyTorch, vanilla 8 x 256 MLP": torch_step(VanillaField(), RAYS // 4, plain),
    }
    rows: dict[str, tuple[float, float]] = {}
    for name, step in steps.items():
        if args.only not in name:
            continue
        rows[name] = wall, cpu = rate_of(step, args.seconds)
        row = {"step": name, "samples_per_s": round(wall), "samples_per_cpu_s": round(cpu)}
        print(json.dumps(row, ensure_ascii=False), flush=True)
    if args.only:
        return
    base = rows["fused, 16 x 2, 2^15, α concatenated"]
    for name in list(rows)[-3:]:
        ratios = [round(a / b, 1) for a, b in zip(base, rows[name], strict=True)]
        print(json.dumps({"slower": name, "times": ratios[0], "times_by_cpu": ratios[1]}))
    for size in (128, 192, 256):
        wall, cpu = render_rate(ours, args.threads, size, args.seconds)
        row = {"render": size, "frames_per_s": round(wall, 1), "frames_per_cpu_s": round(cpu, 1)}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
