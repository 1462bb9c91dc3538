"""How fast the audio-expression network trains and speaks, and how near to the machine's limit.

`python -m benchmarks.network_speed [--batch 6] [--window 64] [--steps 20] [--compile] [--profile]`

The paper's widths (HuBERT 768, emotion2vec 768, LLaMA 4096, d = 512) on made-up features; words
last eight frames. Printed: matrix peak of this machine (1024³, the same threads), time and
arithmetic of a step as counted by PyTorch, the fraction of the peak, the share of loading, what
20,000 steps take, and how much faster than real time it predicts. Speeds are ratios within one run.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from models import LabelledClip, SpeechFeatures, TrainConfig, TrainingData, join_clips, predict
from models.batches import Batch, Batches
from models.checkpoint import AudioExpressionModel
from models.trainer import expression_of, loss_of
from pipeline import clock
from pipeline.hyperplanes import fit_scopes

FRAMES, WORD, K = 750, 8, 10


def made_up(audio: int, emotion: int, text: int, clips: int = 8) -> TrainingData:
    """Clips of half a minute, two people, two tags."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(clips):
        tag = ("happy", "sad")[i % 2]
        alpha = rng.normal(size=(FRAMES, K)).astype(np.float32)
        alpha[:, 0] += 3 * (i % 2)
        features = SpeechFeatures(
            rng.normal(size=(FRAMES, audio)).astype(np.float32),
            rng.normal(size=(FRAMES, emotion)).astype(np.float32),
            rng.normal(size=(FRAMES // WORD, text)).astype(np.float16),
            np.minimum(np.arange(FRAMES) // WORD, FRAMES // WORD - 1).astype(np.int32),
        )
        made.append(LabelledClip(f"c{i}", "ab"[i // 2 % 2], tag, features, alpha))
    alpha = np.concatenate([clip.expression for clip in made])

    def per_frame(name: str) -> list[str]:
        return np.repeat([getattr(clip, name) for clip in made], FRAMES).tolist()

    planes, _ = fit_scopes(
        alpha, alpha[:, 1] - alpha[:, 1].min(), per_frame("emotion"), per_frame("clip_id"),
        per_frame("identity"),
    )  # fmt: skip
    return join_clips(made, planes)


def seconds(work: Callable[[], Any], times: int) -> float:
    """Mean time of `times` calls, after two to warm up."""
    for _ in range(2):
        work()
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def step_loss(network: Callable[..., Any], batch: Batch, rho: float) -> torch.Tensor:
    """Forward pass and loss of one step."""
    return loss_of(expression_of(network, batch), batch, rho)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batch", type=int, default=TrainConfig().batch)
    parser.add_argument("--window", type=int, default=TrainConfig().window)
    parser.add_argument("--d", type=int, default=512)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--widths", type=int, nargs=3, default=(768, 768, 4096))
    parser.add_argument("--architecture", default="emohead")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()

    square = torch.randn(1024, 1024)
    peak = 2 * 1024**3 / seconds(lambda: square @ square, args.steps)
    config = TrainConfig(
        batch=args.batch, window=args.window, d=args.d, d_h=args.d, precision=args.precision,
        architecture=args.architecture,
    )  # fmt: skip
    data = made_up(*args.widths)
    model = AudioExpressionModel(config.network(data.widths, data.k))
    batches = Batches(data, config, model.standard)
    network = torch.compile(model.network) if args.compile else model.network
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-4, fused=True)
    at = iter(range(10**9))

    def step() -> None:
        loss = step_loss(network, batches.of(next(at)), config.rho)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    with FlopCounterMode(display=False) as counter:
        step_loss(model.network, batches.of(0), config.rho).backward()
    each = seconds(step, args.steps)
    loading = seconds(lambda: batches.of(next(at)), args.steps)
    work = counter.get_total_flops()
    clip = data.clips[0]
    normals = np.zeros((FRAMES, K), dtype=np.float32)
    said = seconds(
        lambda: predict(model, data.clip_features(clip), normals, args.window),
        max(args.steps // 4, 1),
    )
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    print(f"{torch.get_num_threads()} threads, matrix peak {peak / 1e9:.0f} GFLOP/s")
    print(f"{args.batch} windows of {args.window} frames, {parameters:.2f} M parameters")
    print(f"step {each * 1e3:.1f} ms; 20,000 steps {each * 20000 / 60:.1f} min")
    print(f"{work / 1e9:.2f} GFLOP a step, {work / each / peak:.0%} of the peak")
    print(f"loading {loading * 1e3:.2f} ms, {loading / each:.1%} of a step")
    print(f"inference {FRAMES / clock.FPS / said:.0f} x real time")
    if args.profile:
        with torch.profiler.profile() as profile:
            for _ in range(5):
                step()
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=12))


if __name__ == "__main__":
    main()
