"""Random histories of a store, held against a model of dictionaries after every commit.

Manifests are split after two chunks, so that every history crosses many splits: there icechunk 1.1
loses data when a fork is merged into a session with longer arrays (docs/decisions/0005), which
`WriteSession` must never do.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_kit import DATASET

import store
from store import repository

NAN = float("nan")
SCHEMAS = {
    "x": store.FeatureSchema("x", (), "float32", NAN),
    "y/wide": store.FeatureSchema("y/wide", (700,), "float32", NAN),
    "z": store.FeatureSchema("z", (), "int32", -2, kind="token_index", token_dim=2),
}
NAMES = ["a", "b", "c", "d", "e"]


@pytest.fixture(scope="module", autouse=True)
def short_manifests() -> Iterator[None]:
    before, repository.MANIFEST_CHUNKS = repository.MANIFEST_CHUNKS, 2
    yield
    repository.MANIFEST_CHUNKS = before


@dataclass
class Model:
    """What the store should hold: clip -> content, frames, feature -> value or reason."""

    content: dict[str, int] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    cells: dict[tuple[str, str], float | str] = field(default_factory=dict)

    def forget(self, name: str) -> None:
        self.content.pop(name, None)
        self.frames.pop(name, None)
        for feature in SCHEMAS:
            self.cells.pop((name, feature), None)


step = st.fixed_dictionaries(
    {
        "clips": st.dictionaries(
            st.sampled_from(NAMES),
            st.tuples(
                st.integers(0, 1),  # content
                st.sampled_from([1, 127, 128, 129, 300]),  # frames of that content
                st.frozensets(st.sampled_from(sorted(SCHEMAS)), min_size=1),
                st.booleans(),  # last feature rejected
            ),
            max_size=3,
        ),
        "remove": st.frozensets(st.sampled_from(NAMES), max_size=1),
        "max_clips": st.integers(1, 3),
        "turned": st.booleans(),  # merge the forks in the other order
        "meets": st.booleans(),  # another writer commits while this session runs
        "compacts": st.sampled_from(["never", "during", "after"]),
    }
)


def clip_write(
    name: str, frames: int, features: frozenset[str], value: float, rejected: str | None
) -> store.ClipWrite:
    arrays: dict[str, np.ndarray] = {}
    for feature in features - {rejected}:
        schema = SCHEMAS[feature]
        if feature == "z":
            arrays[feature] = np.zeros(frames, np.int32)
        else:
            arrays[feature] = np.full((frames, *schema.shape), value, np.float32)
    tokens = {"z": np.full((1, 2), value, np.float32)} if "z" in arrays else {}
    reasons = {rejected: f"reason {value}"} if rejected else {}
    return store.ClipWrite(name, frames, arrays, tokens, reasons)


def run(cache: store.Cache, history: list[dict]) -> None:
    model = Model()
    value = 0.0
    for number, wanted in enumerate(history):
        with cache.write(DATASET, SCHEMAS, f"step {number}") as session:
            rows, writes = [], {}
            for name, (content, frames, features, refuse) in wanted["clips"].items():
                value += 1
                kept = model.content.get(name) == content and name in model.frames
                length = model.frames[name] if kept else frames
                rejected = max(features) if refuse else None
                if features == {rejected} and not kept:
                    continue  # a clip with nothing valid has no frames: another test's matter
                rows.append(store.ClipRow(name, str(content), length, dict.fromkeys(features, "f")))
                writes[name] = clip_write(name, length, features, value, rejected)
                if not kept:
                    model.forget(name)
                model.content[name], model.frames[name] = content, length
                for feature in features:
                    model.cells[name, feature] = f"reason {value}" if feature == rejected else value
            removed = [n for n in wanted["remove"] if n in model.content and n not in writes]
            session.remove_clips(removed)
            for name in removed:
                model.forget(name)
            forks = []
            for batch in session.allocate(rows, wanted["max_clips"]):
                forks.append(session.fork(batch))
                for name in batch.clip_ids:
                    store.write_clip(forks[-1], writes[name])
            session.merge(*(reversed(forks) if wanted["turned"] else forks))
            if wanted["meets"]:
                other = f"met{number}"
                with cache.write(DATASET, SCHEMAS, other) as second:
                    second.allocate([store.ClipRow(other, "0", 130, {"y/wide": "f"})])
                    second.write_clip(clip_write(other, 130, frozenset({"y/wide"}), value, None))
                model.content[other], model.frames[other] = 0, 130
                model.cells[other, "y/wide"] = value
            if wanted["compacts"] == "during" and DATASET in cache.datasets():
                store.compact(cache, DATASET)
        if wanted["compacts"] == "after" and DATASET in cache.datasets():
            store.compact(cache, DATASET)
        compare(cache, model)


def test_a_forced_cell_counts_although_another_writer_met() -> None:
    """Found by the random histories: the repair of a cell was taken for the other's equal work."""
    base = {"remove": frozenset(), "max_clips": 1, "turned": False, "compacts": "never"}
    with tempfile.TemporaryDirectory() as folder:
        clips = {"a": (0, 5, frozenset({"x"}), False)}
        history = [{**base, "clips": clips, "meets": meets} for meets in (False, True)]
        run(store.Cache.open(Path(folder) / "cache", create=True), history)


def compare(cache: store.Cache, model: Model) -> None:
    snapshot = cache.snapshot()
    if not snapshot.datasets():
        assert not model.content
        return
    assert set(snapshot.clips(DATASET).index) == set(model.content)
    for name, frames in model.frames.items():
        for feature in SCHEMAS:
            expected = model.cells.get((name, feature))
            state = snapshot.state(DATASET, name, feature)
            if expected is None:
                assert state == "absent"
            elif isinstance(expected, str):
                assert snapshot.rejected(DATASET, name)[feature] == expected
            elif feature == "z":
                assert snapshot.read(DATASET, feature, name).tolist() == [0] * frames
                assert snapshot.tokens(DATASET, feature, name).tolist() == [[expected] * 2]
            else:
                values = snapshot.read(DATASET, feature, name)
                assert values.shape == (frames, *SCHEMAS[feature].shape)
                assert (values == expected).all()
    assert cache.validate().problems == []


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(step, min_size=3, max_size=5))
def test_random_histories(history: list[dict]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run(store.Cache.open(Path(folder) / "cache", create=True), history)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(step, min_size=3, max_size=8))
def test_many_random_histories(history: list[dict]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run(store.Cache.open(Path(folder) / "cache", create=True), history)
