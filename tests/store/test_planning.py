"""The plan: empty after it was followed, and exactly what a change asks for."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import PlanError
from store.planning import EncoderKey, Plan, SourceKey, plan_table
from store.schema import CLIP_COLUMNS
from store.table import ClipTable, empty_table

FEATURES = ("a", "b", "c", "d", "e")
UPSTREAM = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ()}


def keys(versions: dict[str, int]) -> dict[str, EncoderKey]:
    return {f: EncoderKey(f, {"name": f, "v": versions.get(f, 0)}, UPSTREAM[f]) for f in FEATURES}


def table_after(
    plan: Plan,
    sources: list[SourceKey],
    before: ClipTable,
    rejected: frozenset[tuple[str, str]] = frozenset(),
) -> ClipTable:
    """The table of a store that followed a plan: a model of the store, of dictionaries."""
    contents = {c: before.columns["content"][r] for c, r in before.row_of.items()}
    prints = {
        (c, f): column[r]
        for f, column in before.fingerprints.items()
        for c, r in before.row_of.items()
    }
    reasons = {
        (c, f): column[r]
        for f, column in before.rejections.items()
        for c, r in before.row_of.items()
    }
    for clip_id, content in sources:
        if contents.get(clip_id) != content and plan.cells_of(clip_id):
            contents[clip_id] = content
            for f in FEATURES:
                prints[clip_id, f] = reasons[clip_id, f] = ""
    for cell in plan.cells:
        key = (cell.clip_id, cell.feature)
        prints[key] = cell.fingerprint
        reasons[key] = "no face" if key in rejected else ""
    ids = list(contents)
    n = len(ids)
    columns = {
        name: np.full(n, column.fill, object if column.dtype == "str" else column.dtype)
        for name, column in CLIP_COLUMNS.items()
    }
    columns["clip_id"] = np.array(ids, object)
    columns["content"] = np.array([contents[c] for c in ids], object)

    def column_of(values: dict[tuple[str, str], str], f: str) -> np.ndarray:
        return np.array([values.get((c, f), "") for c in ids], object)

    return ClipTable(
        columns,
        {f: column_of(prints, f) for f in FEATURES},
        {f: column_of(reasons, f) for f in FEATURES},
        {},
    )


clip_contents = st.dictionaries(
    st.sampled_from(["x", "y", "z", "u"]), st.sampled_from(["1", "2", "3"])
)
version_changes = st.dictionaries(st.sampled_from(FEATURES), st.integers(0, 2))
cell_sets = st.frozensets(
    st.tuples(st.sampled_from(["x", "y", "z", "u"]), st.sampled_from(FEATURES))
)


@settings(deadline=None)
@given(st.lists(st.tuples(clip_contents, version_changes, cell_sets), max_size=4))
def test_a_plan_that_was_followed_leaves_nothing(
    history: list[tuple[dict[str, str], dict[str, int], frozenset[tuple[str, str]]]],
) -> None:
    table = empty_table()
    for contents, versions, rejected in history:
        sources = [SourceKey(c, h) for c, h in contents.items()]
        plan = plan_table(table, "d", sources, keys(versions))
        table = table_after(plan, sources, table, rejected)
        again = plan_table(table, "d", sources, keys(versions))
        assert again.cells == []
        assert again.valid + again.rejected == len(contents) * len(FEATURES)


def dependants(changed: set[str]) -> set[str]:
    reached = set(changed)
    for feature in FEATURES:  # upstream first
        if reached & set(UPSTREAM[feature]):
            reached.add(feature)
    return reached


@settings(deadline=None)
@given(st.sets(st.sampled_from(FEATURES)), st.integers(1, 4))
def test_changed_encoders_plan_themselves_and_what_hangs_on_them(
    changed: set[str], n_clips: int
) -> None:
    sources = [SourceKey(f"clip{i}", "same") for i in range(n_clips)]
    first = plan_table(empty_table(), "d", sources, keys({}))
    table = table_after(first, sources, empty_table())
    plan = plan_table(table, "d", sources, keys(dict.fromkeys(changed, 1)))
    assert {cell.feature for cell in plan.cells} == dependants(changed)
    assert len(plan.cells) == n_clips * len(dependants(changed))
    for cell in plan.cells:
        own = cell.feature in changed
        assert cell.reason == ("changed encoder" if own else "changed upstream")


def test_each_reason_by_hand() -> None:
    sources = [SourceKey("old", "1"), SourceKey("edited", "1"), SourceKey("faceless", "1")]
    first = plan_table(empty_table(), "d", sources, keys({}))
    assert {cell.reason for cell in first.cells} == {"new clip"}
    assert first.summary().splitlines() == [
        "d: 15 cells of 3 clips to compute; 0 of 15 wanted cells are there",
        "  each of 5 features: new clip 3",
    ]
    table = table_after(first, sources, empty_table(), frozenset({("faceless", "e")}))
    table.fingerprints["b"][0] = ""  # old/b was never computed
    now = [SourceKey("old", "1"), SourceKey("edited", "2"), SourceKey("faceless", "1")]
    plan = plan_table(table, "d", [*now, SourceKey("new", "1")], keys({"e": 1, "a": 0}))
    reasons = {(cell.clip_id, cell.feature): cell.reason for cell in plan.cells}
    assert reasons["old", "b"] == "absent"
    assert reasons["old", "e"] == "changed encoder"
    assert reasons["faceless", "e"] == "rejected before"
    assert {reasons["edited", f] for f in FEATURES} == {"changed content"}
    assert {reasons["new", f] for f in FEATURES} == {"new clip"}
    assert ("old", "a") not in reasons
    assert plan.summary().splitlines()[1:] == [
        "  a, c, d: new clip 1, changed content 1",
        "  b: new clip 1, changed content 1, absent 1",
        "  e: new clip 1, changed content 1, changed encoder 1, rejected before 1",
    ]


def test_a_rejected_cell_is_left_alone_until_forced() -> None:
    sources = [SourceKey("x", "1")]
    first = plan_table(empty_table(), "d", sources, keys({}))
    table = table_after(first, sources, empty_table(), frozenset({("x", "d")}))
    plan = plan_table(table, "d", sources, keys({}))
    assert (plan.cells, plan.rejected, plan.valid) == ([], 1, 4)
    assert "1 stand rejected" in plan.summary()
    for force in ("d", "x", ("x", "d")):
        forced = plan_table(table, "d", sources, keys({}), [force])
        assert ("x", "d", "forced") in {cell[:3] for cell in forced.cells}
    with pytest.raises(PlanError, match="neither a wanted feature"):
        plan_table(table, "d", sources, keys({}), ["nonsense"])


def test_clips_gone_from_the_sources_are_named() -> None:
    sources = [SourceKey("x", "1"), SourceKey("y", "1")]
    table = table_after(plan_table(empty_table(), "d", sources, keys({})), sources, empty_table())
    plan = plan_table(table, "d", sources[:1], keys({}))
    assert plan.removed == ("y",)
    assert "1 clips of the store are gone" in plan.summary()


def test_plans_that_cannot_be_made_say_why() -> None:
    with pytest.raises(PlanError, match="b reads a, which is not wanted"):
        plan_table(empty_table(), "d", [], {"b": EncoderKey("b", {}, ("a",))})
    circle = {"a": EncoderKey("a", {}, ("b",)), "b": EncoderKey("b", {}, ("a",))}
    with pytest.raises(PlanError, match="a -> b -> a"):
        plan_table(empty_table(), "d", [], circle)
    with pytest.raises(PlanError, match="'x' comes twice"):
        plan_table(empty_table(), "d", [SourceKey("x", "1")] * 2, keys({}))


def test_a_large_plan_takes_seconds() -> None:
    """4,000 clips x 5 features, new and then unchanged (the full figure: benchmarks)."""
    sources = [SourceKey(f"clip{i}", f"{i:064x}") for i in range(4_000)]
    start = time.perf_counter()
    first = plan_table(empty_table(), "d", sources, keys({}))
    table = table_after(first, sources, empty_table())
    begun = time.perf_counter()
    assert plan_table(table, "d", sources, keys({})).cells == []
    assert time.perf_counter() - begun < 5
    assert len(first.cells) == 20_000
    assert first.hash == plan_table(empty_table(), "d", sources, keys({})).hash
    assert time.perf_counter() - start < 30
