"""What the old stores hold, by formula; and how `v1.zip` was made.

`python known.py folder`, run with the emohead of schema version 1 (0.1.0 before 2026-11-21), makes
the folder that `v1.zip` holds. It is never made again: a store written by today's program proves
nothing about yesterday's.
"""

import sys

import numpy as np

NAN = float("nan")
CLIPS = {"a": 5, "b": 130, "c": 3}
"""Frames. `c` is unusable: all its cells are rejected; `gone` was removed."""
ENCODERS = {
    "face/mar": ({"name": "mar", "version": "1"}, ()),
    "video/rgb": ({"name": "crop", "version": "1"}, ()),
    "parsing/selfie": ({"name": "parse", "version": "1"}, ("video/rgb",)),
    "text/words": ({"name": "words", "version": "1"}, ()),
}


def values_of(clip: str) -> dict[str, np.ndarray]:
    """Arrays of a clip; `video/rgb` is grey, so that JPEG keeps it within a level."""
    frames = CLIPS[clip]
    t = np.arange(frames)
    return {
        "face/mar": (t / 8 + len(clip)).astype(np.float32),
        "video/rgb": np.full((frames, 16, 16, 3), 90, np.uint8),
        "parsing/selfie": np.repeat((t % 19).astype(np.uint8), 64).reshape(frames, 8, 8),
        "text/words": np.where(t < 3, t - 1, 0).astype(np.int32),
    }


TOKENS = np.array([[0.5, 1.5], [2.5, 3.5]], np.float32)
PLANES = {"w": np.array([[1.0, -2.0]]), "b": np.array([0.25])}
PLANE_FACTS = {"tags": ["happy"], "cells": "key of the fit"}


def make(folder: str) -> None:
    """Make the store."""
    import store

    schemas = [
        store.FeatureSchema("face/mar", (), "float32", NAN),
        store.FeatureSchema("video/rgb", (16, 16, 3), "uint8", 0, codec="image"),
        store.FeatureSchema("parsing/selfie", (8, 8), "uint8", 255, codec="labels"),
        store.FeatureSchema("text/words", (), "int32", -2, kind="token_index", token_dim=2),
    ]
    features = {schema.name: schema for schema in schemas}
    cache = store.Cache.open(folder, create=True)
    wanted = {name: store.EncoderKey(name, *key) for name, key in ENCODERS.items()}
    frames = {**CLIPS, "gone": 2}
    sources = [store.SourceKey(name, f"content of {name}") for name in frames]
    plan = store.plan(None, "demo", sources, wanted)
    with cache.write("demo", features, "Ingest", {"plan": plan.hash}) as session:
        rows = [
            store.ClipRow(
                name, content, frames[name], plan.cells_of(name), identity="M003", emotion="happy"
            )
            for name, content in sources
        ]
        session.allocate(rows)
        for name in ("a", "b"):
            arrays = values_of(name)
            tokens = {"text/words": TOKENS}
            session.write_clip(
                store.ClipWrite(name, CLIPS[name], arrays, tokens, facts={"fps": 25})
            )
        session.write_clip(store.ClipWrite("c", 0, rejected=dict.fromkeys(features, "no face")))
        some = {"face/mar": np.ones(2, np.float32)}
        rest = {name: "too dark" for name in features if name != "face/mar"}
        session.write_clip(store.ClipWrite("gone", 2, some, rejected=rest))
    cache.tag("release-1")
    with cache.write("demo", {}, "Fit and remove") as session:
        session.remove_clips(["gone"])
        session.put_hyperplanes("face/mar", "pooled", PLANES, PLANE_FACTS)


if __name__ == "__main__":
    make(sys.argv[1])
