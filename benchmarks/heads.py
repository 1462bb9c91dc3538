"""Heads of real clips: trained on the first part of each, scored on its last fifth.

One row a clip: PSNR, SSIM and landmark distances of held-out frames, the nearest training frame
beside them, and how much of the expression α carries (`render.expression_score`). Heads and a
picture a clip (true frames over rendered ones) stay in --out, so a second run only scores.

    python -m benchmarks.heads --store STORE --identity NAME [--identity OTHER] --out FOLDER
        [--steps 3000] [--set field.appearance=4]
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np

from flows.features import FeatureNames
from flows.presets import configured
from flows.train_head import head_clips, head_data
from render.backdrop import background_plate
from render.compositing import compose
from render.expression_score import score_expression
from render.head import Head, load_head
from render.head_config import HeadConfig
from render.head_data import HeadData
from render.masks import head_mask
from render.metrics import score_head
from render.trainer import train_head
from store import Cache


def sheet(head: Head, data: HeadData, path: Path, columns: int = 5) -> None:
    """True held-out frames over rendered ones."""
    test = data.held_out()
    plate = background_plate(data.training())
    pairs = []
    for i in np.linspace(0, len(test.frames) - 1, columns).astype(int):
        rgb, opacity = head.render(test.cameras[i], test.alpha[i], data.size)
        under = np.where(head_mask(test.labels[i])[..., None], plate, test.frames[i])
        pairs.append(np.concatenate([test.frames[i], compose(rgb, opacity, under)], 0))
    cv2.imwrite(str(path), cv2.cvtColor(np.concatenate(pairs, 1), cv2.COLOR_RGB2BGR))


def main() -> None:
    """Print one JSON line a clip."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", required=True)
    parser.add_argument("--identity", action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--set", action="append", default=[], help="HeadConfig field=value")
    args = parser.parse_args()
    pairs = (item.split("=", 1) for item in args.set)
    changes = {name: json.loads(value) for name, value in pairs}
    config = configured(HeadConfig, {"steps": args.steps}, changes, "head")
    names = FeatureNames()
    snapshot = Cache.open(args.store).snapshot("main")
    for identity in args.identity:
        for clip in head_clips(snapshot, "clips", identity, names):
            data = head_data(snapshot, "clips", [clip], names)
            folder = args.out / clip
            began = time.process_time()
            if not (folder / "head.json").is_file():
                train_head(data, config, folder)
            spent = time.process_time() - began
            head = load_head(folder, device="cpu")
            row = {
                "clip": clip,
                "training_frames": head.facts["training_frames"],
                "steps": head.facts["steps"],
                "cpu_s": round(spent),
                **score_head(head, data, args.frames).record(),
                **score_expression(head, data, args.frames).record(),
            }
            print(json.dumps(row), flush=True)
            sheet(head, data, folder / "sheet.png")


if __name__ == "__main__":
    main()
