"""A small world in which faces follow sound: two people, three emotions, a few sentences."""

from pathlib import Path
from typing import Any

import numpy as np

from models.config import TrainConfig
from models.data import LabelledClip, SpeechFeatures, TrainingData, join_clips
from models.split import SplitKey, assign_splits
from pipeline.hyperplanes import fit_scopes
from store import Cache, ClipRow, ClipWrite, FeatureSchema, write_clip

TAGS = ("neutral", "happy", "sad")
FRAMES, K = 60, 4


def made_clips(
    identities: tuple[str, ...] = ("ann", "bob"), sentences: int = 4, seed: int = 0
) -> list[LabelledClip]:
    """Coefficient 0 follows the sound, 1 and 2 the emotion (which the voice carries too)."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(3, 12))
    voice = rng.normal(size=(len(TAGS), 5)) * 2
    clips = []
    for n, identity in enumerate(identities):
        for t, tag in enumerate(TAGS):
            for s in range(sentences):
                said = np.random.default_rng([seed, s]).normal(size=(FRAMES, 3)).cumsum(axis=0)
                said = said / said.std(axis=0)
                alpha = np.column_stack(
                    [
                        np.tanh(said[:, 0]),
                        (t == 1) * 3.0 + 0.3 * said[:, 1],
                        (t == 2) * 3.0 + 0.3 * said[:, 2],
                        0.3 * rng.normal(size=FRAMES),
                    ]
                )
                features = SpeechFeatures(
                    (said @ mix + 0.1 * rng.normal(size=(FRAMES, 12))).astype(np.float32),
                    (voice[t] + rng.normal(size=(FRAMES, 5))).astype(np.float32),
                    rng.normal(size=(3, 6)).astype(np.float32),
                    np.repeat([-1, 0, 1, 2], FRAMES // 4).astype(np.int32),
                )
                raw = alpha * [1.0, 0.1, 10.0, 1.0] + n
                clips.append(
                    LabelledClip(
                        f"{identity}_{tag}_{s}", identity, tag, features,
                        raw.astype(np.float32), f"s{s}",
                    )
                )  # fmt: skip
    return clips


def joined(clips: list[LabelledClip]) -> TrainingData:
    """Clips with hyperplanes and splits, as a flow joins them."""
    lengths = [len(clip.expression) for clip in clips]

    def per_frame(name: str) -> list[str]:
        return np.repeat([getattr(clip, name) for clip in clips], lengths).tolist()

    alpha = np.concatenate([clip.expression for clip in clips])
    planes, _ = fit_scopes(
        alpha, alpha[:, 0], per_frame("emotion"), per_frame("clip_id"), per_frame("identity")
    )
    splits = assign_splits(
        [SplitKey(c.clip_id, c.identity, c.emotion, c.sentence, None) for c in clips]
    )
    clips = [
        LabelledClip(
            c.clip_id, c.identity, c.emotion, c.features, c.expression, c.sentence,
            splits[c.clip_id],
        )
        for c in clips
    ]  # fmt: skip
    return join_clips(clips, planes, {"snapshot": "ABC"})


def stored(clips: list[LabelledClip], folder: Path) -> Cache:
    """The clips' features as cells of a store; the first clip has no words."""
    schemas = {
        "audio/a": FeatureSchema("audio/a", (2, 12), "float32", float("nan")),
        "emotion/e": FeatureSchema("emotion/e", (2, 5), "float32", float("nan")),
        "expression/x": FeatureSchema("expression/x", (4,), "float32", float("nan")),
        "face/mar": FeatureSchema("face/mar", (), "float32", float("nan")),
        "text/t": FeatureSchema("text/t", (), "int32", -2, kind="token_index", token_dim=6),
    }
    cache = Cache.open(folder, create=True)
    rows = [
        ClipRow(c.clip_id, c.clip_id, FRAMES, dict.fromkeys(schemas, "f"), identity=c.identity,
                emotion=c.emotion, sentence=c.sentence or "")
        for c in clips
    ]  # fmt: skip
    by_id = {c.clip_id: c for c in clips}
    half = np.array([[-0.5], [0.5]], dtype=np.float32)
    with cache.write("clips", schemas, "Made", {}) as session:
        for batch in session.allocate(rows):
            fork = session.fork(batch)
            for slot in batch.slots:
                c = by_id[slot.clip_id]
                silent = c is clips[0]
                arrays = {
                    "audio/a": c.features.audio[:, None] + half,
                    "emotion/e": c.features.emotion[:, None] + half,
                    "expression/x": c.expression,
                    "face/mar": c.expression[:, 0],
                }
                if not silent:
                    arrays["text/t"] = c.features.token_index
                write_clip(
                    fork,
                    ClipWrite(
                        c.clip_id, FRAMES, arrays,
                        {} if silent else {"text/t": c.features.tokens},
                        {"text/t": "nobody speaks"} if silent else {},
                    ),
                )  # fmt: skip
            session.merge(fork)
    return cache


SMALL: dict[str, Any] = {
    "steps": 150, "batch": 8, "window": 24, "d": 24, "d_h": 24, "ffn_widths": (32, 16),
    "learning_rate": 3e-3, "validate_every": 50, "save_every": 50, "log_every": 10,
}  # fmt: skip


def config(**changes: Any) -> TrainConfig:
    return TrainConfig(**(SMALL | changes))
