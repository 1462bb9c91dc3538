"""Stores of other versions: the old one of `old/v1.zip` stays readable, is migrated in one commit,
and who is too old for a store refuses."""

import importlib.util
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import zarr

import store
from store import migration, versions

OLD = Path(__file__).parent / "old"


def load_known() -> ModuleType:
    spec = importlib.util.spec_from_file_location("known", OLD / "known.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


known = load_known()


@pytest.fixture
def v1(tmp_path: Path) -> store.Cache:
    with zipfile.ZipFile(OLD / "v1.zip") as archive:
        archive.extractall(tmp_path / "v1")
    return store.Cache.open(tmp_path / "v1")


def assert_known(snapshot: store.Snapshot) -> None:
    """Each cell holds what it held when the store was made."""
    assert snapshot.datasets() == ["demo"]
    clips = snapshot.clips("demo")
    for name, frames in known.CLIPS.items():
        assert clips.loc[name, "content"] == f"content of {name}"
        assert (clips.loc[name, "identity"], clips.loc[name, "emotion"]) == ("M003", "happy")
        if name == "c":
            assert snapshot.frames("demo", name) == 0
            assert snapshot.rejected("demo", name) == dict.fromkeys(known.ENCODERS, "no face")
            continue
        assert snapshot.frames("demo", name) == frames
        for feature, values in known.values_of(name).items():
            stored = snapshot.read("demo", feature, name)
            assert stored.dtype == values.dtype
            if feature == "video/rgb":
                assert np.abs(stored.astype(int) - values).max() <= 1
            else:
                np.testing.assert_array_equal(stored, values)
        np.testing.assert_array_equal(snapshot.tokens("demo", "text/words", name), known.TOKENS)


def test_an_old_store_reads_as_it_is(v1: store.Cache) -> None:
    snapshot = v1.snapshot()
    assert versions.schema_version(snapshot.root) == 1
    assert sorted(snapshot.clips("demo").index) == ["a", "b", "c"]
    assert_known(snapshot)
    assert_known(v1.snapshot("release-1"))
    assert v1.snapshot("release-1").read("demo", "face/mar", "gone").tolist() == [1.0, 1.0]
    planes = snapshot.hyperplanes("demo", "face/mar", "pooled")
    assert planes is not None
    np.testing.assert_array_equal(planes["w"], known.PLANES["w"])
    assert planes["attrs"] == known.PLANE_FACTS
    assert v1.validate(read_data=True).problems == []
    # The fingerprints are what today's plan expects: nothing is computed again.
    wanted = {name: store.EncoderKey(name, *key) for name, key in known.ENCODERS.items()}
    sources = [store.SourceKey(name, f"content of {name}") for name in known.CLIPS]
    assert store.plan(snapshot, "demo", sources, wanted).cells == []


def add_clip(cache: store.Cache) -> None:
    with cache.write("demo", {}, "add") as session:
        session.allocate([store.ClipRow("new", "1", 4)])


def test_writing_an_old_store_wants_a_migration(v1: store.Cache) -> None:
    with pytest.raises(
        store.SchemaError, match=r"has schema version 1, .* writes 2: run `emohead store migrate"
    ):
        add_clip(v1)
    assert len(v1.log()) == 4


def test_a_migration_is_one_commit_and_keeps_the_state_before(v1: store.Cache) -> None:
    before = v1.snapshot().id
    done = store.migrate(v1)
    assert (done.from_version, done.to_version) == (1, 2)
    assert done.summary().startswith("migrated from schema version 1 to 2: snapshot ")
    assert v1.tags() == {"before-migration-from-1": before, "release-1": v1.tags()["release-1"]}
    assert [entry.id for entry in v1.log()][:2] == [done.snapshot_id, before]
    migrated = store.Cache.open(v1.location)
    assert versions.schema_version(migrated.snapshot().root) == 2
    assert_known(migrated.snapshot())
    assert_known(migrated.snapshot("before-migration-from-1"))
    assert migrated.validate(read_data=True).problems == []
    assert store.migrate(migrated).summary().endswith("has schema version 2 already; nothing to do")
    assert len(migrated.log()) == 5
    add_clip(migrated)


def test_a_migration_that_died_after_its_tag_uses_it_again(
    v1: store.Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(root: zarr.Group) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(migration.STEPS, 1, dies)
        with pytest.raises(KeyboardInterrupt):
            store.migrate(v1)
    assert versions.schema_version(v1.snapshot().root) == 1
    assert_known(v1.snapshot())
    assert store.migrate(v1).tag == "before-migration-from-1"


def mark(cache: store.Cache, **numbers: str | int) -> None:
    session = cache.repository.writable_session("main")
    zarr.open_group(session.store).attrs["emohead_store"] = numbers
    session.commit("from the future")


def test_a_new_store_says_who_may_read_and_write_it(cache: store.Cache) -> None:
    stored = cache.snapshot().root.attrs["emohead_store"]
    assert stored == {
        "schema_version": 2, "min_reader": 2, "min_writer": 2,
        "emohead": versions.package_version(),
    }  # fmt: skip


def test_a_reader_that_is_too_old_refuses(cache: store.Cache) -> None:
    mark(cache, schema_version=9, min_reader=7, min_writer=8, emohead="3.1")
    with pytest.raises(
        store.SchemaError,
        match=r"schema version 9 \(made by emohead 3\.1\) and needs a reader of at least 7; "
        r"this emohead \(.*\) reads up to 2: update emohead",
    ):
        store.Cache.open(cache.location)
    mark(cache, schema_version="nine")
    with pytest.raises(store.SchemaError, match="schema version 'nine', which this emohead"):
        store.Cache.open(cache.location)


def test_a_writer_that_is_too_old_refuses_and_still_reads(cache: store.Cache) -> None:
    mark(cache, schema_version=9, min_reader=2, min_writer=3, emohead="3.1")
    later = store.Cache.open(cache.location)
    assert later.datasets() == []
    with pytest.raises(
        store.SchemaError, match=r"needs a writer of at least 3; this emohead .* writes 2: update"
    ):
        add_clip(later)
    mark(cache, schema_version=9, min_reader=2, min_writer=2)
    add_clip(store.Cache.open(cache.location))


def test_a_writer_whose_store_is_migrated_meanwhile_refuses(cache: store.Cache) -> None:
    """Two emohead versions on one store: the older one's session began before the migration."""
    schema = store.FeatureSchema("x", (), "float32", float("nan"))
    session = cache.write("demo", {"x": schema}, "old program")
    session.__enter__()
    session.allocate([store.ClipRow("a", "1", 3, {"x": "f"})])
    session.write_clip(store.ClipWrite("a", 3, {"x": np.ones(3, np.float32)}))
    mark(cache, schema_version=9, min_reader=2, min_writer=9)
    with pytest.raises(store.SchemaError, match="needs a writer of at least 9"):
        session.__exit__(None, None, None)
    assert cache.datasets() == []
