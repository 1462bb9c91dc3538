"""MoEE's light variant and EMOdiffhead's generator beside EmoHead's network, on one store.

    python -m benchmarks.systems --store demo-output/store --out systems --preset demo

Trains each system once (a killed run goes on), then asks every held-out clip for every emotion.
First printed: how much of each emotion's recorded frames lies on its own side of its hyperplane.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from flows.features import FeatureNames
from flows.presets import network_settings
from flows.train_audio_expression import training_data
from models import TrainConfig, train_audio_expression
from models.config import MOEE, RECURRENT
from models.data import HELD_OUT, Split
from models.label_scores import dial_scores
from models.steering_scores import recorded_sides, steering_scores
from store import Cache

SYSTEMS: dict[str, dict[str, Any]] = {
    "emohead": {},
    "moee": MOEE,
    "moee, no experts, no noisy sampling": MOEE | {"experts": False, "noisy": 0.0},
    "moee, one cross-attention instead": MOEE | {"plain": True},
    "moee, no global gate": MOEE | {"global_gate": False},
    "moee, no noisy sampling": MOEE | {"noisy": 0.0},
    "moee, mouth not masked": MOEE | {"masked": False},
    "emodiffhead": RECURRENT,
    "emodiffhead, no discriminators": RECURRENT | {"adversarial": 0.0},
}


def main() -> None:
    """Train, ask, print one row a system."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", choices=("demo", "paper"), default="demo")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--systems", nargs="*", choices=list(SYSTEMS), default=list(SYSTEMS))
    args = parser.parse_args()
    data = training_data(
        Cache.open(args.store).snapshot(), "clips", FeatureNames(), args.out / "packs"
    )
    part: Split = next(split for split in HELD_OUT if data.part(split))
    clips = data.part(part)
    print(f"{len(clips)} clips ({part}), {sum(clip.frames for clip in clips)} frames")
    sides = {tag: round(side, 3) for tag, side in recorded_sides(data, clips).items()}
    print(f"recorded frames on their own side: {json.dumps(sides)}")
    learnt = {tag: round(s, 3) for tag, s in recorded_sides(data, data.part("train")).items()}
    print(f"the same of clips that were learnt from: {json.dumps(learnt)}", flush=True)
    for name in args.systems:
        settings = network_settings(args.preset) | SYSTEMS[name]
        if args.steps:
            settings["steps"] = args.steps
        folder = args.out / name.replace(", ", "-").replace(" ", "-")
        done = train_audio_expression(data, TrainConfig(**settings), folder)
        asked = steering_scores(done, data, clips)
        row: dict[str, Any] = {
            "system": name,
            "rmse": done.state["best"]["rmse"],
            "target side": float(np.mean([score.side for score in asked])),
            **{f"side {score.target}": score.side for score in asked},
            "mouth error": float(np.mean([score.mouth_error for score in asked])),
        }
        if done.model.config.takes_labels:
            dial = dial_scores(done, data, clips)
            row |= {"monotone, least": dial.monotone, "between": dial.between}
        rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}
        print(json.dumps(rounded), flush=True)


if __name__ == "__main__":
    main()
