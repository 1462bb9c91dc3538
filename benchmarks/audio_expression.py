"""How well the audio-expression network does on sample speech, against baselines.

`python -m benchmarks.audio_expression [--steps 800] [--store demo-output/store]`

Without a store the faces are the samples' own scripts (no rendering, no face tracking), so that
this measures the network alone; with the store of `make demo` they are what was measured in the
rendered clips. About four minutes. Every network is trained with three seeds; means are shown, and
the extremes. What is printed: whitened RMSE and the correlation of jaw_open on the held-out
sentence, for the baselines, the demo's settings, and what they change; then, when each voice is
asked for each other emotion, the share of frames on the target's side of its hyperplane, and how
the distance of the mouth's aspect ratio from the recording grows.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import (
    ControlConfig,
    LabelledClip,
    SpeechFeatures,
    SplitKey,
    TrainConfig,
    TrainingData,
    assign_splits,
    join_clips,
    read_steps,
    speak,
    train_audio_expression,
)
from models.baselines import fit_mean, fit_ridge
from models.checkpoint import Checkpoint
from models.config import DEMO
from models.steering_scores import steering_scores
from models.validate import correlations, predict_clip, rmse
from pipeline.encoder import ClipInputs
from pipeline.features import TOKENS
from pipeline.hyperplanes import fit_scopes
from pipeline.samples import EMOTIONS, IDENTITIES, SENTENCES
from pipeline.samples.clip import script_of
from pipeline.samples.deform import NAMES
from pipeline.speech.logmel import LogMelEncoder
from pipeline.speech.minilm import MiniLMEncoder
from pipeline.speech.prosody import ProsodyEncoder
from pipeline.transcript import Transcript, Word

SPLIT = "held_out_sentence"
SEEDS = (0, 1, 2)


def sample_data() -> TrainingData:
    """All sample readings with the coefficients their clips are painted from."""
    encoders = (LogMelEncoder(), ProsodyEncoder(), MiniLMEncoder())
    clips, mar = [], []
    for identity in IDENTITIES:
        for emotion in EMOTIONS:
            for sentence in SENTENCES.values():
                _, reading, script = script_of(identity, emotion, sentence.name)
                sound = reading.samples.astype(np.float32) / 32768
                words = tuple(Word(w["word"], w["start"], w["end"]) for w in reading.words)
                inputs = ClipInputs(
                    reading.frames,
                    transcript=Transcript(reading.transcript, words, source="sidecar"),
                    audio_source=lambda sound=sound: sound,
                )
                arrays: dict[str, np.ndarray] = {}
                for encoder in encoders:
                    arrays |= encoder.encode(inputs)
                features = SpeechFeatures(
                    read_steps(arrays["audio/logmel"]),
                    read_steps(arrays["emotion/prosody"]),
                    arrays["text/minilm" + TOKENS],
                    arrays["text/minilm"],
                )
                clips.append(
                    LabelledClip(
                        f"{identity}_{emotion}_{sentence.name}", identity, emotion, features,
                        script.coefficients.astype(np.float32), sentence.name,
                        mouth=script.mouth_open,
                    )
                )  # fmt: skip
                mar.append(script.mouth_open)
    lengths = [len(clip.expression) for clip in clips]

    def per_frame(name: str) -> list[str]:
        return np.repeat([getattr(clip, name) for clip in clips], lengths).tolist()

    planes, _ = fit_scopes(
        np.concatenate([clip.expression for clip in clips]),
        np.concatenate(mar),
        per_frame("emotion"),
        per_frame("clip_id"),
        per_frame("identity"),
        names=tuple(NAMES),
    )
    said = {name: sentence.split for name, sentence in SENTENCES.items()}
    splits = assign_splits(
        [
            SplitKey(c.clip_id, c.identity, c.emotion, c.sentence, said[str(c.sentence)])
            for c in clips
        ]
    )
    return join_clips([replace(clip, split=splits[clip.clip_id]) for clip in clips], planes)


def stored_data(store: str) -> TrainingData:
    """What the main job trains its network from."""
    from flows.features import FeatureNames
    from flows.train_audio_expression import training_data
    from store import Cache

    with tempfile.TemporaryDirectory() as packs:
        data = training_data(Cache.open(store).snapshot(), "clips", FeatureNames(), Path(packs))
        return replace(data, expression=data.expression.copy(), mouth=np.array(data.mouth))


def trained(data: TrainingData, **changes: Any) -> Checkpoint:
    """A network with the demo's settings but for `changes`."""
    with tempfile.TemporaryDirectory() as folder:
        return train_audio_expression(data, TrainConfig(**(DEMO | changes)), Path(folder))


def scores(data: TrainingData, predicted: list[np.ndarray]) -> tuple[float, float]:
    """Whitened RMSE and the correlation of jaw_open on the held-out sentence."""
    true = np.concatenate([data.whitened(clip) for clip in data.part(SPLIT)]).astype(np.float64)
    both = np.concatenate(predicted).astype(np.float64)
    return rmse(both, true), float(correlations(both, true)[NAMES.index("jaw_open")])


def line(name: str, runs: list[tuple[float, float]]) -> str:
    """One row of the table: means, and the extremes of several runs."""
    error, jaw = np.mean(runs, axis=0)
    extremes = zip(np.min(runs, axis=0), np.max(runs, axis=0), strict=True)
    spread = [f"{low:.2f}-{high:.2f}" for low, high in extremes]
    shown = f"   RMSE {spread[0]}, r {spread[1]}" if len(runs) > 1 else ""
    return f"{name:<36}{error:>8.3f}{'-' if np.isnan(jaw) else format(jaw, '.2f'):>8}{shown}"


def steering(data: TrainingData, made: list[Checkpoint], name: str, control: ControlConfig) -> str:
    """Every target asked of every voice that has another emotion; extremes over seeds and tags."""
    scores = [
        score
        for checkpoint in made
        for score in steering_scores(checkpoint, data, data.part(SPLIT), control, own=False)
    ]
    side, growth = [s.side for s in scores], [s.mouth_growth for s in scores]
    return (
        f"{name:<36} target side {np.mean(side):.3f} (least {min(side):.3f})"
        f"   mouth error {np.mean(growth):+.1%} (most {max(growth):+.1%})"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=DEMO["steps"])
    parser.add_argument("--store")
    args = parser.parse_args()
    torch.set_num_threads(1)  # a second one collapses when anything else runs beside
    data = stored_data(args.store) if args.store else sample_data()
    held = data.part(SPLIT)
    print(f"{len(data.part('train'))} training clips, {len(held)} of a held-out sentence")
    print(f"{'':<36}{'RMSE':>8}{'jaw r':>8}")
    for name, baseline in (
        ("mean expression", fit_mean(data)),
        ("ridge", fit_ridge(data)),
        ("mean expression of the tag", fit_mean(data, tag=True)),
        ("ridge with the tag", fit_ridge(data, tag=True)),
    ):
        print(line(name, [scores(data, [baseline.predict(data, clip) for clip in held])]))
    changed: dict[str, dict[str, Any]] = {
        "network, demo": {},
        "plain transformer, same size": {"architecture": "transformer", "refinement": False},
        "  the same, by eq. 9 (ablation)": {"architecture": "transformer"},
        "network, n = 5 (the paper's)": {"n": 5},
        "  without eq. 13's second term": {"rho": 0.0},
        "  no weight decay, d = 64": {"weight_decay": 0.0, "d": 64, "d_h": 64},
    }
    demo: list[Checkpoint] = []
    for name, changes in changed.items():
        began = time.perf_counter()
        made = [trained(data, seed=seed, steps=args.steps, **changes) for seed in SEEDS]
        seconds = (time.perf_counter() - began) / len(SEEDS)
        demo = demo or made
        runs = [
            scores(data, [predict_clip(c.model, data, clip, c.train.window, c.train.planes)
                          for clip in held])
            for c in made
        ]  # fmt: skip
        print(line(name, runs), f"  {seconds:.0f} s each", flush=True)
    runs = [
        scores(data, [speak(c, data.clip_features(r), r.emotion, r.identity).alpha for r in held])
        for c in demo
    ]
    print(line("  steered to its own tag (margin)", runs))
    for name, control in (
        ("asked for another emotion: margin", ControlConfig()),
        ("  margin, mouth free", ControlConfig(keep_mouth=False)),
        ("  eq. 9 with the learnt τ", ControlConfig(mode="tau")),
    ):
        print(steering(data, demo, name, control))


if __name__ == "__main__":
    main()
