"""How well the audio-expression network does on sample speech, against baselines.

`python -m benchmarks.audio_expression [steps]`

The faces are the samples' own scripts (no rendering, no face tracking), so that this measures the
network alone, in about four minutes. Every network is trained with three seeds; means are shown,
and the extremes. What is printed: whitened RMSE and the correlation of jaw_open on
the held-out sentence, for the baselines, the demo's settings, and what they change; then the share
of frames on the target's side of its hyperplane when each voice is asked for each emotion.
"""

import sys
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
from models.data import merged_planes
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


def steering(data: TrainingData, checkpoint: Checkpoint, mode: Any) -> str:
    """Mean share of frames on the target's side, over all voices and all targets."""
    own, foreign = [], []
    for clip in data.part(SPLIT):
        features = data.clip_features(clip)
        planes = merged_planes(checkpoint.planes, clip.identity).planes
        for target in EMOTIONS:
            said = speak(checkpoint, features, target, clip.identity, ControlConfig(mode=mode))
            side = (said.alpha @ planes[target].w + planes[target].b > 0).mean()
            (own if target == clip.emotion else foreign).append(side)
    return f"{mode:<8} own emotion {np.mean(own):.3f}   another emotion {np.mean(foreign):.3f}"


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)  # a second one collapses when anything else runs beside
    steps = {"steps": int(sys.argv[1])} if len(sys.argv) > 1 else {}
    data = sample_data()
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
        "  n = 5 (the paper's)": {"n": 5},
        "  independent queries and keys": {"focus": 0.0},
        "  words never withheld": {"text_dropout": 0.0},
        "  without eq. 13's second term": {"rho": 0.0},
    }
    demo: list[Checkpoint] = []
    for name, changes in changed.items():
        began = time.perf_counter()
        made = [trained(data, seed=seed, **steps, **changes) for seed in SEEDS]
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
    for mode in ("tau", "margin"):
        print(steering(data, demo[0], mode))


if __name__ == "__main__":
    main()
