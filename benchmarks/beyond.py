"""What is left of a head in views that no camera saw.

    python -m benchmarks.beyond STORE HEAD_FOLDER IDENTITY

The head is turned from its mean pose to the sides. Counted are pixels that are darker or lighter
than 99 of 100 recorded pixels of the head (in a good picture about 2 of 100), and those apart from
the largest piece: as the field answers, and as `emohead synthesize --orbit` asks it (colours as
from the nearest recorded view, one piece with a soft edge).
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from flows.store_features import names_in
from flows.synthesis.driving import sampled
from flows.train_head import head_clips
from pipeline.clock import FPS
from render.head import load_head
from render.masks import head_mask
from render.matte import whole_and_soft
from render.views import mean_camera, orbit, within
from store import Cache

DATASET = "clips"
LIGHT = np.array([0.299, 0.587, 0.114])
"""Share of red, green and blue in brightness (BT.601)."""


def strange(rgb: np.ndarray, opacity: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Per cent of the head's pixels too dark or too bright, and apart from its largest piece."""
    head = opacity > 0.5
    bright = 255 * np.clip(rgb[head] / opacity[head, None], 0, 1) @ LIGHT
    _, _, stats, _ = cv2.connectedComponentsWithStats((opacity > 0.05).astype(np.uint8))
    sizes = stats[1:, cv2.CC_STAT_AREA]
    odd = (bright < low) | (bright > high)
    return 100 * float(odd.mean()), 100 * float(1 - sizes.max() / sizes.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("head", type=Path)
    parser.add_argument("identity")
    parser.add_argument("--degrees", type=float, nargs="*", default=[6, 12, 20, 30])
    parser.add_argument("--size", type=int, default=128)
    given = parser.parse_args()
    snapshot = Cache.open(given.store).snapshot()
    names = names_in(snapshot, DATASET, None)
    clips = head_clips(snapshot, DATASET, given.identity, names)
    data = sampled(snapshot, DATASET, clips, names)
    data = data.take(np.flatnonzero(np.isfinite(data.cameras).all((1, 2))))
    low, high = np.quantile(data.frames[head_mask(data.labels)] @ LIGHT, (0.01, 0.99))
    head = load_head(given.head)
    alpha = np.zeros(head.renderer.field.config.coefficients, np.float32)
    base = mean_camera(data.cameras)
    print("| turned by | too dark or bright | with colours held | apart | with a matte |")
    print("|---:|---:|---:|---:|---:|")
    for degrees in given.degrees:
        # Farthest out after one and after three quarters of a turn.
        path = orbit(base, 4, degrees, 0.0, 4 / FPS)[[1, 3]]
        told = []
        for camera, held in zip(path, within(path, data.cameras), strict=True):
            plain = strange(*head.render(camera, alpha, given.size), low, high)
            kept = head.render(camera, alpha, given.size, coloured_from=held)
            told.append((*plain, *strange(*whole_and_soft(*kept), low, high)))
        unknown, apart, held_unknown, held_apart = np.mean(told, axis=0)
        print(
            f"| {degrees:g}° | {unknown:.1f} % | {held_unknown:.1f} % | {apart:.1f} % "
            f"| {held_apart:.1f} % |"
        )


if __name__ == "__main__":
    main()
