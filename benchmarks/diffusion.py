"""Whether the video diffusion model learns: two seconds of real clips, reproduced.

`python -m benchmarks.diffusion CLIP... [--train-seconds 400] [--size 64] [--block 8] [--drop 0.05]
[--folder KEPT]`: with a folder that is kept, a second run goes on with the training of the first.

Trains on `--seconds` of each clip with pictures of the person from elsewhere in it, then samples
the same stretches from one of those pictures, the sound and the coefficients, chunk by chunk with
its own motion frames. Printed: the loss curve; PSNR beside the picture held still and the mean
frame; the same without coefficients, and told the picture alone; each person's stretch with each
person's picture; sampling time over video time.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch

from models.data import read_steps
from models.label_scores import rank_correlation
from pipeline.clock import FPS
from pipeline.face import models
from pipeline.face.indices import LANDMARKS
from pipeline.face.mar import mouth_aspect
from pipeline.media import length
from pipeline.process import process_clip
from pipeline.profiles import load_profile
from pipeline.scan import scan
from render.diffusion.animate import Sampling, animate
from render.diffusion.config import NetworkConfig, PortraitTraining
from render.diffusion.data import PortraitClip, PortraitData, shrink
from render.diffusion.guidance import Guidance
from render.diffusion.noise import Solver
from render.diffusion.portrait import Portrait
from render.diffusion.trainer import train_portrait

FEATURES = ("video/rgb", "audio/logmel", "expression/semantic")
PICTURES = 6
LONGEST = 8
"""Seconds of a clip that are looked at."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the way from closed to open."""
HELD = 16
"""Frames that are generated of each share."""
EXTREMES = 4
"""Frames that closed and open are the mean of."""


def clip_of(path: Path, size: int) -> PortraitClip:
    """The beginning of a clip through the embedded encoders."""
    source = scan(path).clips[0]
    if length(path) > LONGEST:
        source = replace(source, start=Fraction(0), end=Fraction(LONGEST))
    arrays = process_clip(source, FEATURES, load_profile()).arrays
    return PortraitClip(
        path.stem, path.stem, "", shrink(arrays["video/rgb"], size),
        read_steps(arrays["audio/logmel"]).astype(np.float32), arrays["expression/semantic"],
    )  # fmt: skip


def stretch(clip: PortraitClip, rows: np.ndarray, name: str) -> PortraitClip:
    """Some frames of it."""
    return replace(
        clip, clip_id=f"{clip.clip_id} {name}", frames=clip.frames[rows], audio=clip.audio[rows],
        expression=clip.expression[rows],
    )  # fmt: skip


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over frames, dB of the full range."""
    error = ((a.astype(np.float64) - b) ** 2).reshape(len(a), -1).mean(1)
    return float(np.mean(10 * np.log10(255**2 / error)))


def sample(
    model: Portrait, config: PortraitTraining, clip: PortraitClip, picture: np.ndarray,
    steps: int = 4, solver: Solver = "ddim", guidance: Guidance | None = None,
) -> tuple[float, float]:  # fmt: skip
    """PSNR, and seconds taken."""
    began = time.perf_counter()
    parts = animate(
        model, config.noise, picture, clip.audio, clip.expression,
        Sampling(steps, solver, guidance or Guidance()),
    )  # fmt: skip
    frames = np.concatenate(list(parts))
    return psnr(frames, clip.frames), time.perf_counter() - began


def openings(frames: np.ndarray) -> np.ndarray:
    """Mouth aspect ratio of each frame, seen alone; NaN where no face is seen."""
    points = np.full((len(frames), LANDMARKS, 3), np.nan, np.float32)
    with models.using(models.face_mesh(tracking=False)) as mesh:
        for row, frame in zip(points, frames, strict=True):
            large = cv2.resize(frame, (256, 256), interpolation=cv2.INTER_CUBIC)
            if faces := mesh.process(large).multi_face_landmarks:
                row[:] = [(p.x, p.y, p.z) for p in faces[0].landmark]
    return mouth_aspect(points)


def steering(
    model: Portrait, config: PortraitTraining, clip: PortraitClip, picture: np.ndarray, scale: float
) -> None:
    """Print what the mouth does when coefficients are changed and the sound is not."""

    def drawn(audio: np.ndarray, expression: np.ndarray) -> np.ndarray:
        parts = animate(
            model, config.noise, picture, audio, expression.astype(np.float32),
            Sampling(4, guidance=Guidance(expression=scale)),
        )  # fmt: skip
        return openings(np.concatenate(list(parts)))

    recorded = openings(clip.frames)
    known = np.flatnonzero(np.isfinite(recorded) & np.isfinite(clip.expression).all(1))
    order = known[np.argsort(recorded[known])]
    closed, wide = order[:EXTREMES], order[-EXTREMES:]
    low, high = (clip.expression[rows].mean(0) for rows in (closed, wide))
    print(f"{clip.clip_id}, coefficients' guidance {scale:g}: the mouth as recorded ", end="")
    print(f"{recorded[closed].mean():.3f} closed, {recorded[wide].mean():.3f} wide;", end=" ")
    shown = []
    for share in SHARES:
        rows = np.repeat((low + share * (high - low))[None], HELD, 0)
        shown.append(drawn(clip.audio[:HELD], rows))
    means = [float(np.nanmean(opening)) for opening in shown]
    seen = float(np.mean(np.isfinite(np.concatenate(shown))))
    print("asked for " + ", ".join(f"{s:g}: {m:.3f}" for s, m in zip(SHARES, means, strict=True)))
    rank = rank_correlation(SHARES, means)
    print(f"  Spearman {rank:.2f}; a face is seen in {100 * seen:.0f} % of the frames")
    half = len(clip.frames) // 2
    mouth = drawn(clip.audio, np.roll(clip.expression, half, 0))
    for whose, truth in (("coefficients", np.roll(recorded, half)), ("sound", recorded)):
        both = np.isfinite(mouth) & np.isfinite(truth)
        r = np.corrcoef(mouth[both], truth[both])[0, 1] if both.sum() > 2 else np.nan
        print(f"  coefficients against sound: r {r:.2f} with the mouth of the {whose}", flush=True)


def main() -> None:
    """Train, sample, print."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("clips", type=Path, nargs="+")
    arguments.add_argument("--seconds", type=float, default=2.0)
    arguments.add_argument("--train-seconds", type=float, default=400.0)
    arguments.add_argument("--size", type=int, default=64)
    arguments.add_argument("--block", type=int, default=8)
    arguments.add_argument("--channels", type=int, nargs="+", default=[64, 128])
    arguments.add_argument("--rate", type=float, default=1e-3)
    arguments.add_argument("--drop", type=float, default=0.05, help="share without sound, or α")
    arguments.add_argument("--guidance", type=float, nargs="*", default=[1.0, 2.0])
    arguments.add_argument("--folder", type=Path, help="kept: a later run goes on from it")
    given = arguments.parse_args()
    torch.set_num_threads(1)

    n = round(given.seconds * FPS)
    people, pictures = [], []
    for path in given.clips:
        whole = clip_of(path, given.size)
        elsewhere = np.linspace(n, len(whole.frames) - 1, PICTURES + 1)[1:].astype(int)
        people.append(stretch(whole, np.arange(n), "stretch"))
        pictures.append(stretch(whole, elsewhere, "pictures"))
    config = PortraitTraining(
        NetworkConfig(size=given.size, block=given.block, channels=tuple(given.channels)),
        steps=100_000, seconds=given.train_seconds, learning_rate=given.rate, ema=0.99,
        drop_audio=given.drop, drop_expression=given.drop,
    )  # fmt: skip

    def report(step: int, total: int, metrics: dict[str, float]) -> None:
        if step % 100 == 0:
            print(f"step {step}: loss {metrics['loss']:.4f}", flush=True)

    began = time.perf_counter()
    folder = given.folder or Path(tempfile.mkdtemp())
    model = train_portrait(PortraitData((*people, *pictures)), config, folder, report)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    print(f"{millions:.1f} M parameters, trained {time.perf_counter() - began:.0f} s", flush=True)

    faces = [clip.frames[0] for clip in pictures]
    alone = Guidance(1, 0, 0)
    for clip, face in zip(people, faces, strict=True):
        print(f"{clip.clip_id}: picture held still ", end="")
        print(f"{psnr(np.repeat(face[None], n, 0), clip.frames):.2f} dB, mean frame ", end="")
        print(f"{psnr(np.repeat(clip.frames.mean(0, keepdims=True), n, 0), clip.frames):.2f} dB")
        kinds: list[tuple[int, Solver]] = [(10, "ddim"), (4, "ddim"), (10, "dpm++")]
        for steps, solver in kinds:
            value, took = sample(model, config, clip, face, steps, solver)
            print(f"  {solver} {steps}: {value:.2f} dB, ", end="")
            print(f"{took / given.seconds:.1f} s a second of video", flush=True)
        untold = sample(model, config, clip, face, guidance=Guidance(1, 1, 0))[0]
        print(f"  without coefficients: {untold:.2f} dB")
        for other, theirs in zip(people, faces, strict=True):
            full = sample(model, config, clip, theirs)[0]
            only = sample(model, config, clip, theirs, guidance=alone)[0]
            print(f"  with the picture of {other.identity}: {full:.2f} dB, ", end="")
            print(f"told nothing else {only:.2f} dB", flush=True)
        for scale in given.guidance:
            steering(model, config, clip, face, scale)


if __name__ == "__main__":
    main()
