"""What happens to clips and cells: rejected, replaced, removed, refused, never a silent zero."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from store_kit import DATASET, assert_clip, encoder_keys, feature_schemas, ingest, make_clip

import store
from store.schema import ClipRow

CELLS = dict.fromkeys(feature_schemas(), "f" * 32)


def write(cache: store.Cache, row: ClipRow, clip: store.ClipWrite) -> store.WriteSession:
    with cache.write(DATASET, feature_schemas(), "write") as session:
        session.allocate([row])
        session.write_clip(clip)
    return session


def test_absent_and_rejected_never_read_as_numbers(cache: store.Cache) -> None:
    silent = replace(
        make_clip("a", 5, 0, ["face/mar"]), rejected={"audio/logmel": "the file has no audio"}
    )
    write(cache, ClipRow("a", "1", 5, CELLS), silent)
    snapshot = cache.snapshot()
    states = {f: snapshot.state(DATASET, "a", f) for f in feature_schemas()}
    assert states["face/mar"] == "valid"
    assert states["audio/logmel"] == "rejected"
    assert states["video/rgb"] == "absent"
    with pytest.raises(
        store.CellRejectedError, match=r"audio/logmel of clip a .* the file has no audio\. Repair"
    ):
        snapshot.read(DATASET, "audio/logmel", "a")
    with pytest.raises(
        store.CellAbsentError, match=r"video/rgb of clip a in demo is absent .* run preprocessing"
    ):
        snapshot.read(DATASET, "video/rgb", "a")
    assert snapshot.rejected(DATASET, "a") == {"audio/logmel": "the file has no audio"}
    clips = snapshot.clips(DATASET)
    assert clips.loc["a", "rejected"] == '{"audio/logmel": "the file has no audio"}'
    cells = snapshot.cells(DATASET)
    assert (cells.loc["a", "face/mar"], cells.loc["a", "audio/logmel"]) == ("f" * 32, "")
    raw = zarr.open_group(snapshot.root.store, mode="r", path=DATASET)["frames/audio/logmel"]
    assert isinstance(raw, zarr.Array)
    assert np.isnan(np.asarray(raw[:])).all()  # also for those who look below the API


def test_an_unusable_clip_has_a_row_and_no_frames(cache: store.Cache) -> None:
    unusable = store.ClipWrite("a", 0, rejected=dict.fromkeys(CELLS, "no face in any frame"))
    write(cache, ClipRow("a", "1", 50, CELLS), unusable)
    row = cache.snapshot().clips(DATASET).loc["a"]
    assert (row["frames"], row["first_frame"]) == (0, -1)
    assert row["rejection"] == "no face in any frame"
    assert cache.validate(read_data=True).problems == []
    write(cache, ClipRow("a", "2", 50, CELLS), make_clip("a", 40))  # repaired
    assert_clip(cache.snapshot(), make_clip("a", 40))
    row = cache.snapshot().clips(DATASET).loc["a"]
    assert (row["frames"], row["rejection"], row["rejected"]) == (40, "", "{}")
    assert cache.validate(read_data=True).problems == []


def test_a_clip_may_turn_out_shorter_than_reserved_never_longer(cache: store.Cache) -> None:
    write(cache, ClipRow("a", "1", 300, CELLS), make_clip("a", 130))
    assert_clip(cache.snapshot(), make_clip("a", 130))
    assert cache.validate(read_data=True).problems == []
    with pytest.raises(store.WriteError, match="clip b has 131 frames, 130 were reserved"):
        write(cache, ClipRow("b", "1", 130, CELLS), make_clip("b", 131))


def test_a_recomputed_clip_must_keep_its_length(cache: store.Cache) -> None:
    write(cache, ClipRow("a", "1", 30, CELLS), make_clip("a", 30))
    with pytest.raises(store.WriteError, match="30 frames in the store, its new arrays 29"):
        write(cache, ClipRow("a", "1", 30, CELLS), make_clip("a", 29))


def test_other_content_takes_a_new_place_and_forgets_the_old(cache: store.Cache) -> None:
    clips = {"a": 140, "b": 20}
    ingest(cache, clips)
    plan = ingest(cache, {"a": 300, "b": 20}, contents={"a": "edited"}, seed=5)
    assert {(cell.clip_id, cell.reason) for cell in plan.cells} == {("a", "changed content")}
    snapshot = cache.snapshot()
    assert_clip(snapshot, make_clip("a", 300, 5))
    assert_clip(snapshot, make_clip("b", 20))
    assert list(snapshot.clips(DATASET)["first_frame"]) == [384, 256]
    assert cache.validate(read_data=True).problems == []  # no data behind in the old place


def test_other_content_makes_features_absent_that_were_not_recomputed(cache: store.Cache) -> None:
    ingest(cache, {"a": 20})
    write(cache, ClipRow("a", "edited", 25, CELLS), make_clip("a", 25, 1, ["face/mar"]))
    snapshot = cache.snapshot()
    assert snapshot.state(DATASET, "a", "video/rgb") == "absent"
    assert_clip(snapshot, make_clip("a", 25, 1, ["face/mar"]))
    assert cache.validate(read_data=True).problems == []


def test_a_valid_cell_that_is_now_rejected_leaves_no_data(cache: store.Cache) -> None:
    write(cache, ClipRow("a", "1", 30, CELLS), make_clip("a", 30))
    gone = {"text/words": "no speech", "video/rgb": "no speech"}
    write(cache, ClipRow("a", "1", 30, CELLS), store.ClipWrite("a", 30, rejected=gone))
    assert cache.snapshot().state(DATASET, "a", "text/words") == "rejected"
    assert_clip(cache.snapshot(), make_clip("a", 30, 0, ["face/mar", "audio/logmel"]))
    assert cache.validate(read_data=True).problems == []


def test_removed_clips_are_gone_and_their_rows_used_again(cache: store.Cache) -> None:
    ingest(cache, {"a": 20, "b": 30, "c": 40})
    with cache.write(DATASET, feature_schemas(), "remove") as session:
        session.remove_clips(["b"])
    assert list(cache.snapshot().clips(DATASET).index) == ["a", "c"]
    assert cache.validate(read_data=True).problems == []
    with pytest.raises(store.UnknownError, match="no clip 'b' among the 2 clips"):
        cache.snapshot().read(DATASET, "face/mar", "b")
    ingest(cache, {"a": 20, "c": 40, "d": 50})
    assert list(cache.snapshot().clips(DATASET).index) == ["a", "d", "c"]
    assert_clip(cache.snapshot(), make_clip("d", 50))
    assert_clip(cache.snapshot(), make_clip("c", 40))
    with pytest.raises(store.UnknownError), cache.write(DATASET, {}, "again") as session:
        session.remove_clips(["b"])


def test_a_feature_added_later_and_several_datasets(cache: store.Cache) -> None:
    ingest(cache, {"a": 20, "b": 30})
    schema = store.FeatureSchema("audio/other", (3,), "float16", float("nan"))
    values = np.arange(90, dtype=np.float16).reshape(30, 3)
    with cache.write(DATASET, {schema.name: schema}, "add") as session:
        row = ClipRow("b", "content of b", 0, {schema.name: "e" * 32}, identity="M003")
        session.allocate([row])
        session.write_clip(store.ClipWrite("b", 30, {schema.name: values}))
    with cache.write("second", {schema.name: schema}, "another dataset") as session:
        session.allocate([ClipRow("b", "x", 30, {schema.name: "e" * 32})])
        session.write_clip(store.ClipWrite("b", 30, {schema.name: values + 1}))
    snapshot = cache.snapshot()
    assert cache.datasets() == [DATASET, "second"]
    np.testing.assert_array_equal(snapshot.read(DATASET, "audio/other", "b"), values)
    np.testing.assert_array_equal(snapshot.read("second", "audio/other", "b"), values + 1)
    assert snapshot.state(DATASET, "a", "audio/other") == "absent"
    assert_clip(snapshot, make_clip("b", 30))
    assert cache.validate(read_data=True).problems == []


def test_another_encoder_beside_the_first_costs_its_own_cells(cache: store.Cache) -> None:
    """Two encoders of one thing are two features; the second comes into a store that is full."""
    clips = {"a": 5, "b": 9}
    ingest(cache, clips)
    cache.tag("before")
    schema = store.FeatureSchema("face/other-mar", (2,), "float32", float("nan"))
    other = store.EncoderKey(schema.name, {"name": "other", "version": 1}, ("video/rgb",))
    wanted = {**encoder_keys(), schema.name: other}
    sources = [store.SourceKey(name, f"content of {name}") for name in clips]
    plan = store.plan(cache.snapshot(), DATASET, sources, wanted)
    assert [cell[:3] for cell in plan.cells] == [(n, schema.name, "absent") for n in clips]
    with cache.write(DATASET, {schema.name: schema}, "other", encoders=wanted) as session:
        session.allocate([ClipRow(n, h, 0, plan.cells_of(n), identity="M003") for n, h in sources])
        for name, frames in clips.items():
            values = np.full((frames, 2), frames, np.float32)
            session.write_clip(store.ClipWrite(name, frames, {schema.name: values}))
    assert store.plan(cache.snapshot(), DATASET, sources, wanted).cells == []
    # What hangs on the first hangs on the second too, each by its own encoder.
    newer = {**encoder_keys(**{"video/rgb": 2}), schema.name: other}
    again = store.plan(cache.snapshot(), DATASET, sources, newer)
    changed = {(cell.feature, cell.reason) for cell in again.cells}
    assert {("face/mar", "changed upstream"), (schema.name, "changed upstream")} <= changed
    found = store.diff(cache.snapshot("before"), cache.snapshot())
    assert [(entry.kind, entry.clip_id, entry.what) for entry in found.entries] == [
        ("feature", "", f"new: {schema.form()}"),
        ("cell", "a", "computed, was absent"),
        ("cell", "b", "computed, was absent"),
    ]


def test_a_changed_form_is_refused_until_replaced(cache: store.Cache) -> None:
    ingest(cache, {"a": 20, "b": 30})
    wider = {"face/mar": store.FeatureSchema("face/mar", (2,), "float32", float("nan"))}
    row = ClipRow("a", "content of a", 20, {"face/mar": "e" * 32})
    new = store.ClipWrite("a", 20, {"face/mar": np.ones((20, 2), np.float32)})
    with (
        pytest.raises(store.SchemaError, match=r"face/mar .* float32 \(\) .* float32 \(2,\)"),
        cache.write(DATASET, wider, "wider"),
    ):
        pass
    with cache.write(DATASET, wider, "wider", replace=["face/mar"]) as session:
        session.allocate([row])
        session.write_clip(new)
    snapshot = cache.snapshot()
    assert snapshot.read(DATASET, "face/mar", "a").shape == (20, 2)
    assert snapshot.state(DATASET, "b", "face/mar") == "absent"
    assert_clip(snapshot, make_clip("b", 30, 0, ["video/rgb", "audio/logmel", "text/words"]))
    assert cache.validate(read_data=True).problems == []


BAD_WRITES = {
    "wrong dtype": (
        {"face/mar": np.zeros(5)},
        r"face/mar is float64 \(5,\), its schema says float32 \(5,\)",
    ),
    "wrong shape": ({"face/mar": np.zeros((5, 1), np.float32)}, "encoder and its FeatureSchema"),
    "all NaN": ({"face/mar": np.full(5, np.nan, np.float32)}, "NaN in all 5 frames"),
    "no tokens": ({"text/words": np.zeros(5, np.int32)}, "without its token table"),
    "not planned": ({"face/other": np.zeros(5, np.float32)}, "face/other was not planned"),
}


@pytest.mark.parametrize("case", BAD_WRITES)
def test_bad_writes_name_clip_and_both_values(cache: store.Cache, case: str) -> None:
    arrays, message = BAD_WRITES[case]
    with pytest.raises(store.WriteError, match=f"clip a.*{message}|{message}"):
        write(cache, ClipRow("a", "1", 5, CELLS), store.ClipWrite("a", 5, arrays))
    assert cache.datasets() == []


def test_a_token_index_outside_its_table_is_refused(cache: store.Cache) -> None:
    index, table = np.array([0, 1, -1], np.int32), np.zeros((1, 8), np.float32)
    bad = store.ClipWrite("a", 3, {"text/words": index}, {"text/words": table})
    with pytest.raises(store.WriteError, match=r"points at tokens -1\.\.1, its table has 0\.\.0"):
        write(cache, ClipRow("a", "1", 3, CELLS), bad)


def test_windows_outside_a_clip_are_refused(cache: store.Cache) -> None:
    ingest(cache, {"a": 20})
    for start, stop in ((-1, 5), (0, 21), (6, 5)):
        with pytest.raises(store.WindowError, match="it has 20 frames"):
            cache.snapshot().read(DATASET, "face/mar", "a", start, stop)
    assert cache.snapshot().read(DATASET, "face/mar", "a", 20, 20).shape == (0,)


def test_a_clip_belongs_to_one_fork(cache: store.Cache) -> None:
    with cache.write(DATASET, feature_schemas(), "forks") as session:
        (one, two) = session.allocate(
            [ClipRow(name, name, 10, CELLS) for name in ("a", "b")], max_clips=1
        )
        fork = session.fork(one)
        with pytest.raises(store.WriteError, match="clip b is not in this fork"):
            store.write_clip(fork, make_clip("b", 10))
        store.write_clip(fork, make_clip("a", 10))
        session.merge(fork)
        again = store.write_clip(session.fork(one), make_clip("a", 10))
        with pytest.raises(store.WriteError, match="clip a was written in two forks"):
            session.merge(again)
        with pytest.raises(store.WriteError, match="before its first fork"):
            session.allocate([])
        session.merge(store.write_clip(session.fork(two), make_clip("b", 10)))
    assert cache.validate(read_data=True).problems == []


def test_hyperplanes_are_put_in_place_of_the_old(cache: store.Cache) -> None:
    ingest(cache, {"a": 20})
    for turn in (1.0, 2.0):
        with cache.write(DATASET, {}, "fit") as session:
            arrays = {"w": np.full((2, 10), turn), "b": np.array([turn, 0.5])}
            session.put_hyperplanes("face/mar", "M003", arrays, {"tags": ["happy", "säd"]})
    snapshot = cache.snapshot()
    planes = snapshot.hyperplanes(DATASET, "face/mar", "M003")
    assert planes is not None
    np.testing.assert_array_equal(planes["w"], np.full((2, 10), 2.0))
    assert planes["attrs"] == {"tags": ["happy", "säd"]}
    assert snapshot.hyperplanes(DATASET, "face/mar", "pooled") is None
    assert snapshot.hyperplane_scopes(DATASET, "face/mar") == ["M003"]


def test_text_of_any_script_and_length(cache: store.Cache) -> None:
    words = '{"words": ["你好", "naïve", "' + "long " * 500 + '"]}'
    row = ClipRow("clip/ü 1", "1", 5, CELLS, identity="Zoë", emotion="happy", transcript=words)
    row = replace(row, intensity=2, size=10**12, mtime_ns=1_700_000_000_123_456_789)
    write(cache, row, make_clip("clip/ü 1", 5))
    stored = cache.snapshot().clips(DATASET).loc["clip/ü 1"]
    assert (stored["identity"], stored["transcript"]) == ("Zoë", words)
    assert (stored["intensity"], stored["size"]) == (2, 10**12)
    assert stored["mtime_ns"] == row.mtime_ns


def test_places_that_are_no_store(tmp_path: Path, cache: store.Cache) -> None:
    folder = tmp_path
    with pytest.raises(store.LocationError, match=r"no store at .*nowhere.*run preprocessing"):
        store.Cache.open(folder / "nowhere")
    (folder / "file").write_text("x")
    with pytest.raises(store.LocationError, match="is a file"):
        store.Cache.open(folder / "file", create=True)
    (folder / "empty").mkdir()
    with pytest.raises(store.LocationError, match="no store at"):
        store.Cache.open(folder / "empty")
    with pytest.raises(store.LocationError, match="gs:// is not supported"):
        store.Cache.open("gs://bucket/x")
    with pytest.raises(store.UnknownError, match="no snapshot, tag or branch 'v9'; tags: none"):
        cache.snapshot("v9")
    with pytest.raises(store.UnknownError, match="no dataset 'x'; datasets here: none yet"):
        cache.snapshot().clips("x")


def test_a_store_of_a_later_schema_is_refused(cache: store.Cache) -> None:
    session = cache.repository.writable_session("main")
    zarr.open_group(session.store).attrs["emohead_store"] = {"schema_version": 99}
    session.commit("from the future")
    with pytest.raises(store.SchemaError, match=r"schema version 99.* up to 2: update emohead"):
        store.Cache.open(cache.location)


def test_tags_are_for_ever(cache: store.Cache) -> None:
    first = cache.tag("v1")
    ingest(cache, {"a": 5})
    assert cache.snapshot("v1").id == first != cache.snapshot().id
    with pytest.raises(store.StoreError, match=f"tag 'v1' is taken by snapshot {first}"):
        cache.tag("v1")
    cache.tag("v2")
    assert list(cache.tags()) == ["v1", "v2"]
    assert cache.snapshot(first).id == first
