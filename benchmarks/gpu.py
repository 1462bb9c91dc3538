"""Parity, speed and a short training of a head on one GPU, in less than eight minutes.

The head is synthetic (a talking ellipsoid, ray cast), so the run needs no data. `--dry` does the
same on the CPU in a minute with small sizes: what it prints is no measurement, it only proves that
the script works. Where a number cannot be had (no tiny-cuda-nn, no GPU) its row says why.

    python -m benchmarks.gpu [--dry] [--seconds 120] [--out table.json]
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.synthetic_head import synthetic_head
from flows.presets import configured, head_settings
from render.cameras import head_box, visual_hull
from render.engine_fused import FusedEngine
from render.engine_torch import TorchEngine
from render.engine_types import StepPlan
from render.hash_grid import HashGrid
from render.hash_grid_tcnn import why_not
from render.head import Head
from render.head_config import HeadConfig
from render.head_data import HeadData
from render.masks import head_mask
from render.metrics import score_head
from render.occupancy import grown
from render.torch_rays import RayTensors
from render.trainer import train_head

BYTES_A_SECOND = 4.3e12
"""Copy rate of the card the paper floor was reckoned for (H200 class)."""
FLOPS = 790e12
"""bfloat16 products a second of the same."""


@dataclass(frozen=True)
class Sizes:
    """How large a run is."""

    device: str
    frame: int
    frames: int
    rays: tuple[int, ...]
    seconds: float
    """Of each speed measurement."""
    training: float
    """Seconds of the short training."""
    scored: int
    """Held-out frames scored after it."""
    config: HeadConfig


def sizes(dry: bool, training: float) -> Sizes:
    """The real ones, or small ones on the CPU."""
    config = configured(HeadConfig, head_settings("gpu"), {"refine": None, "board": False}, "head")
    if not dry:
        return Sizes("cuda", 512, 200, (4096, 16_384, 65_536), 3.0, training, 8, config)
    grid = replace(config.field.grid, levels=4, log2_entries=12)
    small = replace(
        config,
        device="cpu",
        field=replace(config.field, grid=grid),
        graphs=False,
        march_steps=24,
        rays=128,
        preview_every=0.0,
    )
    return Sizes("cpu", 32, 60, (64, 128), 0.05, min(training, 1.0), 2, small)


def rate(work: Callable[[], int], seconds: float, device: str) -> float:
    """Units a second of a work that returns how many it did; three runs warm up."""

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(3):
        work()
    wait()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        done += work()
        wait()
    return done / (time.perf_counter() - began)


def scene(s: Sizes, config: HeadConfig) -> tuple[HeadData, Any, np.ndarray]:
    """Training frames, their box and hull."""
    data = synthetic_head(s.frames, 4, s.frame).training()
    masks = head_mask(data.labels[:40])
    box = head_box(masks, data.cameras[:40], data.focal)
    resolution = config.occupancy.resolution
    hull = visual_hull(masks, data.cameras[:40], data.focal, box, resolution)
    return data, box, grown(hull, 2)


def parity(s: Sizes) -> list[dict[str, Any]]:
    """Difference of gradients relative to their size (both as norms), the worst group of
    parameters; same rays and weights. float32 marching meets a cell wall now and then."""
    config = replace(s.config, precision="float32", graphs=False, rays=4 * s.rays[0])
    config = replace(config, field=replace(config.field, coefficients=2))
    data, box, hull = scene(s, config)
    fused = FusedEngine(replace(config, device="cpu"), data, box, hull)
    state = fused.state()
    noise = np.random.default_rng(0).normal(size=len(state["theta"])).astype(np.float32)
    state["theta"] = state["theta"] + np.float32(0.05) * noise
    fused.load(state)
    batch = fused.sampler.draw(0, config.rays)
    fused.gradients(StepPlan(0, config.rays, 1 / config.march_steps, 1.0, 1.0))
    wanted = fused.fused.gradients().sum(0)
    rows = []
    for precision in ("float32", "bfloat16"):
        chosen = replace(config, precision=precision)
        portable = TorchEngine(chosen, data, box, hull, torch.device(s.device))
        portable.load(state)
        portable.add(RayTensors.of(batch, s.device), 1 / config.march_steps)
        got = portable.field.grad.cpu().numpy()
        worst = 0.0
        for lo, hi in fused.fused.segments.values():
            size = max(float(np.linalg.norm(wanted[lo:hi])), 1e-12)
            worst = max(worst, float(np.linalg.norm(wanted[lo:hi] - got[lo:hi])) / size)
        rows.append({"parity": f"{s.device} {precision} against numba", "worst": f"{worst:.1e}"})
    rows.append(tcnn_parity(s))
    return rows


def tcnn_parity(s: Sizes) -> dict[str, Any]:
    """tiny-cuda-nn's hash grid against the portable one."""
    params = torch.zeros(1, device=s.device)
    reason = why_not(params)
    if reason is not None:
        return {"parity": "tiny-cuda-nn against portable", "worst": f"not measured: {reason}"}
    config = s.config.field.grid
    grid = HashGrid(config, "tcnn").to(s.device)
    exact = HashGrid(config, "torch").double()
    with torch.no_grad():
        grid.params.copy_(torch.randn_like(grid.params))
    exact.load_state_dict({k: v.cpu() for k, v in grid.state_dict().items()})
    x = torch.rand(100_000, 3)
    off = (grid(x.to(s.device)).cpu().double() - exact(x.double())).abs().max()
    worst = float(off / exact.params.abs().max())
    return {"parity": "tiny-cuda-nn against portable", "worst": f"{worst:.1e}"}


def speed(s: Sizes) -> list[dict[str, Any]]:
    """Samples a second of whole training steps, plain and in every faster way that runs here."""
    ways: dict[str, dict[str, Any]] = {
        "float32": {"precision": "float32", "graphs": False},
        "bfloat16": {"graphs": False},
    }
    if s.device == "cuda":
        ways["bfloat16, graphs"] = {"graphs": True}
        ways["bfloat16, compiled"] = {"graphs": False, "compile": True}
    rows = []
    for rays in s.rays:
        for name, changes in ways.items():
            config = replace(s.config, rays=rays, **changes)
            config = replace(config, field=replace(config.field, coefficients=2))
            row: dict[str, Any] = {"training": name, "rays": rays}
            try:
                data, box, hull = scene(s, config)
                engine = TorchEngine(config, data, box, hull, torch.device(s.device))
                rows.append(row | training_rate(engine, config, s))
            except (MemoryError, RuntimeError) as error:
                rows.append(row | {"not measured": str(error).splitlines()[0]})
    return rows


def training_rate(engine: TorchEngine, config: HeadConfig, s: Sizes) -> dict[str, Any]:
    """Steps and samples a second after the fog has settled, beside the paper floor."""
    number = 0

    def step() -> int:
        nonlocal number
        plan = StepPlan(number, config.rays, 1 / config.march_steps, 1.0, 0.9)
        engine.gradients(plan)
        engine.descend(plan)
        number += 1
        return 1

    for _ in range(3 * config.occupancy.warm_up if s.device == "cuda" else 4):
        step()
    engine.sums()
    before = number
    steps = rate(step, s.seconds, s.device)
    samples = engine.sums().samples / (number - before) * steps
    grid = config.field.grid
    # 8 corners of every level read and their gradients written; three passes of the matrices.
    traffic = 2 * grid.levels * 8 * grid.features * 4
    products = 3 * 2 * sum(a * b for a, b in config.field.widths())
    floor = traffic / BYTES_A_SECOND + products / FLOPS
    return {
        "steps_per_s": round(steps, 1),
        "samples_per_s": round(samples),
        "of_floor": round(samples * floor, 4),
    }


def rendering(s: Sizes, head: Head, data: HeadData) -> list[dict[str, Any]]:
    """Frames a second, picture and copy to the host included."""
    rows = []
    for size in (s.frame // 4, s.frame // 2, s.frame):
        frames = rate(
            lambda size=size: (head.render(data.cameras[0], data.alpha[0], size), 1)[1],
            s.seconds,
            s.device,
        )
        rows.append({"rendering": f"{size}²", "frames_per_s": round(frames, 1)})
    return rows


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Print one JSON line a row; returns the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dry", action="store_true", help="small, on the CPU: no measurement")
    parser.add_argument("--seconds", type=float, default=120.0, help="of the short training")
    parser.add_argument("--out", type=Path, help="write the table there as JSON")
    args = parser.parse_args(argv)
    if not args.dry and not torch.cuda.is_available():
        parser.exit(1, "no CUDA device: not measured; --dry proves the script on the CPU\n")
    s = sizes(args.dry, args.seconds)
    name = torch.cuda.get_device_name() if s.device == "cuda" else "dry run on the CPU"
    rows: list[dict[str, Any]] = [{"device": name, "torch": torch.__version__}]

    def tell(more: list[dict[str, Any]]) -> None:
        rows.extend(more)
        for row in more:
            print(json.dumps(row), flush=True)

    tell([rows.pop()])
    tell(parity(s))
    tell(speed(s))
    data = synthetic_head(s.frames, 4, s.frame)
    with TemporaryDirectory() as folder:
        config = replace(s.config, seconds=s.training, steps=1 << 30)
        head = train_head(data, config, Path(folder))
    score = score_head(head, data, s.scored)
    row = {"training_seconds": s.training, "steps": head.facts["steps"]}
    tell([row | {"psnr": score.psnr, "nearest_psnr": score.nearest_psnr}])
    tell(rendering(s, head, data))
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1))
    return rows


if __name__ == "__main__":
    main()
