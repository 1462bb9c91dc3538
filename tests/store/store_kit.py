"""Small stores to test on: five features of every kind, clips made from a number."""

from collections.abc import Sequence

import numpy as np

import store

DATASET = "demo"
NAN = float("nan")


def feature_schemas() -> dict[str, store.FeatureSchema]:
    schemas = [
        store.FeatureSchema("video/rgb", (16, 16, 3), "uint8", 0, codec="image"),
        store.FeatureSchema("parsing/selfie", (16, 16), "uint8", 255, codec="labels"),
        store.FeatureSchema("face/mar", (), "float32", NAN),
        store.FeatureSchema("audio/logmel", (2, 240), "float32", NAN),
        store.FeatureSchema("text/words", (), "int32", -2, kind="token_index", token_dim=8),
    ]
    return {schema.name: schema for schema in schemas}


def encoder_keys(**versions: int) -> dict[str, store.EncoderKey]:
    """mar reads video; parsing reads mar; the others read the media only."""
    upstream = {"face/mar": ("video/rgb",), "parsing/selfie": ("face/mar",)}
    return {
        name: store.EncoderKey(
            name, {"name": name, "version": versions.get(name, 1)}, upstream.get(name, ())
        )
        for name in feature_schemas()
    }


def make_clip(
    clip_id: str, frames: int, seed: int = 0, features: Sequence[str] | None = None
) -> store.ClipWrite:
    """A clip of random, reproducible values."""
    random = np.random.default_rng([seed, *clip_id.encode()])
    n_tokens = min(frames, 3)
    arrays = {
        "video/rgb": np.repeat(
            random.integers(0, 256, (frames, 1, 1, 3), dtype=np.uint8), 16, axis=1
        ).repeat(16, axis=2),
        "parsing/selfie": random.integers(0, 19, (frames, 16, 16), dtype=np.uint8),
        "face/mar": random.normal(size=frames).astype(np.float32),
        "audio/logmel": random.normal(size=(frames, 2, 240)).astype(np.float32),
        "text/words": random.integers(-1, n_tokens, frames, dtype=np.int32),
    }
    tokens = {"text/words": random.normal(size=(n_tokens, 8)).astype(np.float32)}
    wanted = set(arrays if features is None else features)
    return store.ClipWrite(
        clip_id,
        frames,
        {name: values for name, values in arrays.items() if name in wanted},
        {name: values for name, values in tokens.items() if name in wanted},
        facts={"seed": seed},
    )


def ingest(
    cache: store.Cache,
    clips: dict[str, int],
    *,
    contents: dict[str, str] | None = None,
    encoders: dict[str, store.EncoderKey] | None = None,
    seed: int = 0,
    force: Sequence[str] = (),
) -> store.Plan:
    """Plan clips (id -> frames) and write what is planned, in this process."""
    contents = contents or {}
    sources = [store.SourceKey(name, contents.get(name, f"content of {name}")) for name in clips]
    encoders = encoders or encoder_keys()
    plan = store.plan(cache.snapshot(), DATASET, sources, encoders, force)
    rows = [
        store.ClipRow(name, content, clips[name], plan.cells_of(name), identity="M003")
        for name, content in sources
        if plan.cells_of(name)
    ]
    with cache.write(
        DATASET, feature_schemas(), "Ingest", {"plan": plan.hash}, encoders=encoders
    ) as session:
        for batch in session.allocate(rows):
            fork = session.fork(batch)
            for slot in batch.slots:
                name = slot.clip_id
                store.write_clip(fork, make_clip(name, clips[name], seed, list(slot.cells)))
            session.merge(fork)
    return plan


def assert_clip(snapshot: store.Snapshot, expected: store.ClipWrite) -> None:
    """The snapshot holds the clip: pictures within JPEG's loss, all else bit for bit."""
    name = expected.clip_id
    for feature, values in expected.arrays.items():
        stored = snapshot.read(DATASET, feature, name)
        assert (stored.dtype, stored.shape) == (values.dtype, values.shape), feature
        if feature == "video/rgb":
            assert np.abs(stored.astype(int) - values.astype(int)).max() <= 3
        else:
            np.testing.assert_array_equal(stored, values)
    for feature, values in expected.tokens.items():
        np.testing.assert_array_equal(snapshot.tokens(DATASET, feature, name), values)
