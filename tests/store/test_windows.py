"""Windows read past zarr equal what zarr reads, whatever the codecs, and wherever they lie."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_kit import DATASET

import store
from store import layout
from store.layout import feature_array
from store.pieces import codec_of

NAN = float("nan")
FORMS = {
    "wide": ((700,), "float32", NAN),  # sharded, as it is
    "narrow": ((3,), "float32", NAN),  # one piece a shard, compressed
    "counts": ((900,), "int16", 0),  # sharded, compressed
    "flag": ((), "bool", 0),
}
SCHEMAS = {n: store.FeatureSchema(n, s, d, f) for n, (s, d, f) in FORMS.items()}
FRAMES = {"a": 300, "b": 40, "c": 128}


def values_of(clip_id: str, frames: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng([*clip_id.encode()])
    made = {n: random.normal(size=(frames, *s)) * 9 for n, (s, _, _) in FORMS.items()}
    made["wide"][: frames // 2] = np.nan  # pieces of nothing but fill are not stored
    return {n: v.astype(FORMS[n][1]) for n, v in made.items()}


def fill(cache: store.Cache, clips: dict[str, int]) -> None:
    with cache.write(DATASET, SCHEMAS, "fill") as session:
        cells = dict.fromkeys(SCHEMAS, "f" * 32)
        session.allocate([store.ClipRow(c, c, n, cells) for c, n in clips.items()])
        for clip_id, n in clips.items():
            session.write_clip(store.ClipWrite(clip_id, n, values_of(clip_id, n)))


@pytest.fixture(scope="module", params=["today", "as first stores"])
def snapshot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    cache = store.Cache.open(tmp_path_factory.mktemp("windows") / "cache", create=True)
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "today":
            patch.setattr(layout, "INNER_CHUNK_BYTES", 64 * 1024)
            patch.setattr(layout, "STORED_PLAIN", "")
        fill(cache, FRAMES)
    group = cache.snapshot().root[DATASET]
    assert isinstance(group, zarr.Group)
    wide = codec_of(feature_array(group, "wide"))
    assert wide is not None
    assert wide.plain == (request.param == "today")
    return cache.snapshot()


spans = st.lists(
    st.tuples(
        st.sampled_from(list(FORMS)),
        st.sampled_from(list(FRAMES)),
        st.integers(0, 300),
        st.integers(0, 300),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(spans=spans, fresh=st.booleans(), given_out=st.booleans())
def test_any_windows_read_at_once_equal_the_arrays(
    snapshot: store.Snapshot, spans: list[tuple[str, str, int, int]], fresh: bool, given_out: bool
) -> None:
    if fresh:  # no shard is known
        snapshot = store.Snapshot(snapshot.location, snapshot.id)
    windows = []
    for feature, clip_id, a, b in spans:
        start, stop = sorted((min(a, FRAMES[clip_id]), min(b, FRAMES[clip_id])))
        windows.append((feature, clip_id, start, stop))
    expected = [values_of(c, FRAMES[c])[f][a:b] for f, c, a, b in windows]
    outs = [np.empty_like(e) for e in expected] if given_out else None
    found = snapshot.read_many(DATASET, windows, outs)
    for i, (values, right) in enumerate(zip(found, expected, strict=True)):
        assert values.dtype == right.dtype
        assert values.tobytes() == right.tobytes()
        assert outs is None or values is outs[i]


def test_zarr_reads_the_same(snapshot: store.Snapshot) -> None:
    group = snapshot.root[DATASET]
    assert isinstance(group, zarr.Group)
    for clip_id, frames in FRAMES.items():
        row = snapshot.table(DATASET).row(clip_id)
        first = int(snapshot.table(DATASET).value("first_frame", row))
        for feature, right in values_of(clip_id, frames).items():
            array = feature_array(group, feature)
            np.testing.assert_array_equal(np.asarray(array[first : first + frames]), right)


def test_two_versions_that_made_one_feature_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = store.Cache.open(tmp_path / "cache", create=True)
    cells = dict.fromkeys(SCHEMAS, "f" * 32)
    session = cache.write(DATASET, SCHEMAS, "today's")
    with session:
        session.allocate([store.ClipRow("a", "a", 300, cells)])
        session.write_clip(store.ClipWrite("a", 300, values_of("a", 300)))
        with monkeypatch.context() as patch:
            patch.setattr(layout, "INNER_CHUNK_BYTES", 64 * 1024)
            patch.setattr(layout, "STORED_PLAIN", "")
            fill(cache, {"b": 40})
    snapshot = cache.snapshot()
    for clip_id, frames in {"a": 300, "b": 40}.items():
        for feature, right in values_of(clip_id, frames).items():
            np.testing.assert_array_equal(snapshot.read(DATASET, feature, clip_id), right)
    assert cache.validate(read_data=True).problems == []
