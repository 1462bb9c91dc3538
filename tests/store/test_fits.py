"""A fit leaves with whatever it was made from: nobody goes on with a removed person's data."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import zarr
from store_kit import DATASET, assert_clip, feature_schemas, ingest, make_clip

import store
from store.fits import stale_fits
from store.table import read_table

FEATURE, MOUTH = "audio/logmel", "face/mar"
PEOPLE = {"a": "ann", "b": "ann", "c": "bob"}
CELLS: dict[str, str] = dict.fromkeys((FEATURE, MOUTH, "text/words"), "f" * 32)


def row(name: str, **facts: str) -> store.ClipRow:
    told = {"content": f"content of {name}", "identity": PEOPLE[name], "emotion": "happy", **facts}
    row = store.ClipRow(name, told.pop("content"), 20, CELLS)
    return replace(row, **told)


def write(cache: store.Cache, rows: list[store.ClipRow], clips: list[store.ClipWrite]) -> None:
    with cache.write(DATASET, feature_schemas(), "write") as session:
        session.allocate(rows)
        for clip in clips:
            session.write_clip(clip)


@pytest.fixture
def fitted(cache: store.Cache) -> store.Cache:
    """Clips a, b of ann and c of bob, and a fit for each and for both."""
    clips = [make_clip(name, 20, 0, list(CELLS)) for name in PEOPLE]
    write(cache, [row(name) for name in PEOPLE], clips)
    with cache.write(DATASET, {}, "fit") as session:
        for scope, names in {"ann": "ab", "bob": "c", "pooled": "abc"}.items():
            session.put_hyperplanes(
                FEATURE,
                scope,
                {"w": np.ones(2)},
                {"tags": ["happy"]},
                list(names),
                [FEATURE, MOUTH],
            )
    return cache


def scopes(cache: store.Cache) -> list[str]:
    return cache.snapshot().hyperplane_scopes(DATASET, FEATURE)


def remove(cache: store.Cache) -> None:
    with cache.write(DATASET, {}, "remove") as session:
        session.remove_clips(["a"])
    assert session.dropped_fits == [(FEATURE, "ann"), (FEATURE, "pooled")]


def replace_content(cache: store.Cache) -> None:
    write(cache, [row("a", content="other")], [make_clip("a", 20, 1, list(CELLS))])


def relabel(cache: store.Cache) -> None:
    with cache.write(DATASET, {}, "relabel") as session:
        session.update_rows([row("a", emotion="sad")])


def another_person(cache: store.Cache) -> None:
    with cache.write(DATASET, {}, "rename") as session:
        session.update_rows([row("a", identity="eve")])


def recompute(cache: store.Cache) -> None:
    changed = replace(row("a"), cells={MOUTH: "e" * 32})
    write(cache, [changed], [make_clip("a", 20, 1, [MOUTH])])


def reject(cache: store.Cache) -> None:
    changed = replace(row("a"), cells={FEATURE: "f" * 32})
    write(cache, [changed], [store.ClipWrite("a", 20, rejected={FEATURE: "silence"})])


@pytest.mark.parametrize(
    "change", [remove, replace_content, relabel, another_person, recompute, reject]
)
def test_a_changed_clip_takes_its_fits_with_it(
    fitted: store.Cache, change: Callable[[store.Cache], None]
) -> None:
    before = fitted.snapshot().id
    change(fitted)
    assert scopes(fitted) == ["bob"]
    assert fitted.log(limit=1)[0].metadata["dropped_fits"] == [
        f"{FEATURE}/ann",
        f"{FEATURE}/pooled",
    ]
    old = fitted.snapshot(before)
    assert old.hyperplane_scopes(DATASET, FEATURE) == ["ann", "bob", "pooled"]  # kept where it was
    assert fitted.validate(read_data=True).problems == []


def add(cache: store.Cache) -> None:
    new = store.ClipRow("d", "content of d", 20, CELLS, identity="ann")
    write(cache, [new], [make_clip("d", 20, 0, list(CELLS))])


def repair(cache: store.Cache) -> None:
    again = replace(row("a"), cells={MOUTH: "f" * 32})
    write(cache, [again], [make_clip("a", 20, 0, [MOUTH])])


def another_feature(cache: store.Cache) -> None:
    words = replace(row("a"), cells={"text/words": "e" * 32})
    write(cache, [words], [make_clip("a", 20, 1, ["text/words"])])


def another_sentence(cache: store.Cache) -> None:
    with cache.write(DATASET, {}, "sentence") as session:
        session.update_rows([row("a", sentence="s9")])
    assert cache.snapshot().clips(DATASET).loc["a", "sentence"] == "s9"


@pytest.mark.parametrize("change", [add, repair, another_feature, another_sentence])
def test_what_a_fit_was_not_made_from_leaves_it(
    fitted: store.Cache, change: Callable[[store.Cache], None]
) -> None:
    change(fitted)
    assert scopes(fitted) == ["ann", "bob", "pooled"]


def test_a_feature_of_another_form_takes_all_fits_that_read_it(fitted: store.Cache) -> None:
    wider = {MOUTH: store.FeatureSchema(MOUTH, (2,), "float32", float("nan"))}
    with fitted.write(DATASET, wider, "wider", replace=[MOUTH]) as session:
        session.allocate([replace(row("c"), cells={MOUTH: "e" * 32})])
        session.write_clip(store.ClipWrite("c", 20, {MOUTH: np.ones((20, 2), np.float32)}))
    assert scopes(fitted) == []


def test_a_fit_of_unknown_origin_leaves_with_any_change(cache: store.Cache) -> None:
    ingest(cache, {"a": 5, "b": 5})
    with cache.write(DATASET, {}, "fit") as session:
        session.put_hyperplanes(FEATURE, "pooled", {"w": np.ones(2)}, {})
    ingest(cache, {"a": 5, "b": 5, "c": 5})
    assert scopes(cache) == ["pooled"]
    with cache.write(DATASET, {}, "remove") as session:
        session.remove_clips(["c"])
    assert scopes(cache) == []


def test_a_fit_names_valid_cells(fitted: store.Cache) -> None:
    with fitted.write(DATASET, {}, "fit") as session:
        with pytest.raises(store.UnknownError, match="a fit names clip 'z'"):
            session.put_hyperplanes(FEATURE, "x", {}, {}, ["a", "z"])
        with pytest.raises(store.WriteError, match=r"names video/rgb of clip a, which is absent"):
            session.put_hyperplanes(FEATURE, "x", {}, {}, ["a"], ["video/rgb"])


def test_a_fit_on_a_clip_that_another_writer_removed_is_not_committed(fitted: store.Cache) -> None:
    session = fitted.write(DATASET, {}, "fit slowly")
    session.__enter__()
    session.put_hyperplanes(FEATURE, "eve", {"w": np.zeros(2)}, {}, ["a", "c"], [MOUTH])
    session.put_hyperplanes(FEATURE, "bob", {"w": np.zeros(2)}, {}, ["c"], [MOUTH])
    remove(fitted)
    session.__exit__(None, None, None)
    assert session.superseded_fits == [(FEATURE, "eve")]
    assert scopes(fitted) == ["bob"]
    planes = fitted.snapshot().hyperplanes(DATASET, FEATURE, "bob")
    assert planes is not None
    assert planes["w"].tolist() == [0, 0]


def test_rows_are_updated_without_touching_cells(fitted: store.Cache) -> None:
    before = fitted.snapshot()
    rows = [row("a"), row("b", emotion="sad", split="test"), row("c", identity="rob")]
    changes = store.row_changes(before.table(DATASET), rows)
    assert changes == [
        ("b", "emotion", "happy", "sad"), ("b", "split", "", "test"),
        ("c", "identity", "bob", "rob"),
    ]  # fmt: skip
    with fitted.write(DATASET, feature_schemas(), "labels") as session:
        session.update_rows([rows[1], rows[2]])
    after = fitted.snapshot()
    assert fitted.log(limit=1)[0].metadata["rows_updated"] == 2
    assert store.row_changes(after.table(DATASET), rows) == []
    assert after.cells(DATASET).equals(before.cells(DATASET))
    for name in PEOPLE:
        assert_clip(after, make_clip(name, 20, 0, list(CELLS)))
    facts = ["first_frame", "frames", "facts", "content"]
    assert after.clips(DATASET)[facts].equals(before.clips(DATASET)[facts])
    # A clip with other content, or one the store does not have, is the plan's business.
    assert store.row_changes(after.table(DATASET), [row("a", content="x", emotion="sad")]) == []
    new = store.ClipRow("new", "1", 5)
    assert store.row_changes(after.table(DATASET), [new]) == []
    with fitted.write(DATASET, {}, "bad") as session:
        with pytest.raises(store.WriteError, match="clip a has content x, the store content of a"):
            session.update_rows([row("a", content="x")])
        with pytest.raises(store.UnknownError, match="no clip 'new'"):
            session.update_rows([new])


def test_two_writers_meet_over_a_row(fitted: store.Cache) -> None:
    session = fitted.write(DATASET, {}, "labels, slowly")
    session.__enter__()
    session.update_rows([row("a", emotion="sad"), row("b", emotion="sad")])
    remove(fitted)
    session.__exit__(None, None, None)
    assert session.superseded == ["a"]
    assert list(fitted.snapshot().clips(DATASET).emotion) == ["sad", "happy"]


def test_a_fit_that_lost_its_clip_to_another_program_is_a_problem(fitted: store.Cache) -> None:
    session = fitted.repository.writable_session("main")
    group = zarr.open_group(session.store, path=DATASET)
    ids = group["clips/clip_id"]
    assert isinstance(ids, zarr.Array)
    ids[0:1] = np.array([""], ids.dtype)
    assert [fit[:2] for fit in stale_fits(group, read_table(group))] == [
        (FEATURE, "ann"), (FEATURE, "pooled"),
    ]  # fmt: skip
    session.commit("by another program")
    problems = [str(problem) for problem in fitted.validate().problems]
    assert f"{DATASET}/{FEATURE}: the hyperplanes of ann are stale: it was fitted on clip a, " \
        "which is not here" in problems  # fmt: skip
