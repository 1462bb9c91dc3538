"""`store.diff` says which clips and cells differ and why, held against changes of every kind."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from store_kit import DATASET, encoder_keys, feature_schemas, ingest, make_clip

import store
from store.cell_differences import describe_change

CLIPS = {"a": 5, "b": 9}
Entries = set[tuple[str, str, str, str]]


def changes(cache: store.Cache, change: Callable[[], object]) -> Entries:
    before = cache.snapshot()
    change()
    found = store.diff(before, cache.snapshot())
    assert {entry.dataset for entry in found.entries} <= {DATASET}
    return {entry[1:] for entry in found.entries}


def test_equal_snapshots_do_not_differ(cache: store.Cache) -> None:
    ingest(cache, CLIPS)
    snapshot = cache.snapshot()
    assert store.diff(snapshot, snapshot).entries == []
    assert store.diff(snapshot, snapshot).summary().endswith(": nothing differs")
    # Computed again by the same encoder: the same cells.
    assert changes(cache, lambda: ingest(cache, CLIPS, force=["face/mar"])) == set()


def test_new_gone_and_renamed_clips(cache: store.Cache) -> None:
    first = cache.snapshot()
    ingest(cache, {"a": 5, "b": 9, "c": 4})
    made = store.diff(first, cache.snapshot())
    assert [entry[1:] for entry in made.entries] == [("dataset", "", "", "new, with 3 clips")]

    def remove_and_rename() -> None:
        ingest(cache, {"a": 5, "d": 4, "e": 3}, contents={"d": "content of c"})
        with cache.write(DATASET, {}, "remove") as session:
            session.remove_clips(["b", "c"])

    assert changes(cache, remove_and_rename) == {
        ("clip", "d", "", "new, with the content of c, which is gone"),
        ("clip", "e", "", "new"),
        ("clip", "b", "", "removed"),
        ("clip", "c", "", "removed"),
    }
    backwards = store.diff(cache.snapshot(), first)
    assert [entry[1:] for entry in backwards.entries] == [("dataset", "", "", "gone")]


def test_a_changed_encoder_is_named_and_what_hangs_on_it(cache: store.Cache) -> None:
    ingest(cache, CLIPS)
    newer = encoder_keys(**{"video/rgb": 2})
    found = changes(cache, lambda: ingest(cache, CLIPS, encoders=newer))
    assert found == {
        ("cell", clip, feature, f"recomputed: {why}")
        for clip in CLIPS
        for feature, why in {
            "video/rgb": "encoder video/rgb changed: version 1 -> 2",
            "face/mar": "upstream changed: video/rgb",
            "parsing/selfie": "upstream changed: face/mar",
        }.items()
    }


def test_an_encoder_used_for_some_clips_only_is_proven_for_each(cache: store.Cache) -> None:
    """The newest encoder recorded for a feature did not make the cell of clip a."""
    ingest(cache, CLIPS)
    before = cache.snapshot()
    for version, clips in ((2, CLIPS), (3, {"b": 9})):
        ingest(cache, clips, encoders=encoder_keys(**{"audio/logmel": version}))
    found = {entry.clip_id: entry.what for entry in store.diff(before, cache.snapshot()).entries}
    assert found == {
        "a": "recomputed: encoder audio/logmel changed: version 1 -> 2",
        "b": "recomputed: encoder audio/logmel changed: version 1 -> 3",
    }


def test_other_content(cache: store.Cache) -> None:
    ingest(cache, CLIPS)
    found = changes(cache, lambda: ingest(cache, CLIPS, contents={"a": "another cut"}))
    assert found == {
        ("clip", "a", "", "content changed"),
        *(("cell", "a", name, "recomputed: content changed") for name in feature_schemas()),
    }


def write(cache: store.Cache, clip: store.ClipWrite, prints: str) -> None:
    cells = dict.fromkeys([*clip.arrays, *clip.rejected], prints)
    with cache.write(DATASET, feature_schemas(), "write") as session:
        session.allocate([store.ClipRow(clip.clip_id, "1", 20, cells)])
        session.write_clip(clip)


def test_rejections_come_go_and_change(cache: store.Cache) -> None:
    mar = make_clip("a", 20, 0, ["face/mar"])
    write(cache, mar, "1" * 32)

    def both(reason: str) -> store.ClipWrite:
        return store.ClipWrite("a", 20, rejected={"face/mar": reason, "audio/logmel": reason})

    unknown = "by encoders that are not recorded"
    assert changes(cache, lambda: write(cache, both("too dark"), "2" * 32)) == {
        ("cell", "a", "face/mar", f"rejected now ({unknown}): too dark"),
        ("cell", "a", "audio/logmel", "rejected: too dark"),
    }
    assert changes(cache, lambda: write(cache, both("no face"), "2" * 32)) == {
        ("cell", "a", name, "rejected again (computed again): too dark -> no face")
        for name in ("face/mar", "audio/logmel")
    }
    assert changes(cache, lambda: write(cache, mar, "3" * 32)) == {
        ("cell", "a", "face/mar", f"valid now ({unknown}), was rejected: no face"),
    }
    silent = replace(make_clip("s", 9, 0, ["face/mar"]), rejected={"audio/logmel": "no sound"})
    assert changes(cache, lambda: write(cache, silent, "1" * 32)) == {
        ("clip", "s", "", "new"),
        ("cell", "s", "audio/logmel", "rejected: no sound"),
    }


def test_labels_hyperplanes_and_features(cache: store.Cache) -> None:
    ingest(cache, CLIPS)

    def fit(value: float, clips: str) -> None:
        with cache.write(DATASET, {}, "fit") as session:
            arrays = {"w": np.full(2, value)}
            session.put_hyperplanes("face/mar", "M003", arrays, {"tags": []}, list(clips))

    name = "face/mar/M003"
    assert changes(cache, lambda: fit(1, "a")) == {
        ("hyperplanes", "", name, "new, fitted on 1 clips")
    }
    assert changes(cache, lambda: fit(1, "a")) == set()
    assert changes(cache, lambda: fit(2, "ab")) == {
        ("hyperplanes", "", name, "fitted again, on 2 clips")
    }

    def relabel() -> None:
        with cache.write(DATASET, {}, "labels") as session:
            row = store.ClipRow("a", "content of a", 0, identity="M003", emotion="sad")
            session.update_rows([replace(row, intensity=3)])

    assert changes(cache, relabel) == {
        ("label", "a", "emotion", "unknown -> sad"),
        ("label", "a", "intensity", "unknown -> 3"),
        ("hyperplanes", "", name, "deleted: labels or cells that it was fitted on changed"),
    }
    fit(3, "ab")

    def remove() -> None:
        with cache.write(DATASET, {}, "remove") as session:
            session.remove_clips(["b"])

    assert changes(cache, remove) == {
        ("clip", "b", "", "removed"),
        ("hyperplanes", "", name, "deleted: it was fitted on b, removed since"),
    }

    def other_features() -> None:
        wider = store.FeatureSchema("face/mar", (2,), "float32", float("nan"))
        more = store.FeatureSchema("audio/other", (), "int16", 0)
        schemas = {wider.name: wider, more.name: more}
        with cache.write(DATASET, schemas, "features", replace=["face/mar"]) as session:
            session.allocate([store.ClipRow("a", "content of a", 0, {"audio/other": "1"})])
            write = store.ClipWrite("a", 5, {"audio/other": np.arange(5, dtype=np.int16)})
            session.write_clip(write)

    found = changes(cache, other_features)
    assert {
        ("feature", "", "audio/other", "new: int16 () fill 0 (array)"),
        ("feature", "", "face/mar",
         "form changed: float32 () fill nan (array) -> float32 (2,) fill nan (array)"),
        ("cell", "a", "face/mar", "gone"),
        ("cell", "a", "audio/other", "computed, was absent"),
    } <= found  # fmt: skip


def test_the_summary_puts_equal_differences_together(cache: store.Cache) -> None:
    clips = dict.fromkeys("abcdef", 3)
    ingest(cache, clips)
    before = cache.snapshot()
    ingest(cache, clips, encoders=encoder_keys(**{"audio/logmel": 2}))
    found = store.diff(before, cache.snapshot())
    assert found.summary() == (
        f"{before.id} -> {cache.snapshot().id}: 6 cells\n"
        f"{DATASET}\n"
        "  cell audio/logmel: recomputed: encoder audio/logmel changed: version 1 -> 2: "
        "a, b, c, ... (6 clips)"
    )
    plain = found.to_json()
    assert (plain["before"], len(plain["differences"])) == (before.id, 6)


def test_cells_of_a_store_that_recorded_no_encoders(cache: store.Cache, tmp_path: Path) -> None:
    """The other side's encoders are tried too; here they prove who made the cells before."""
    silent = store.Cache.open(tmp_path / "silent", create=True)
    plan = ingest(cache, CLIPS)
    rows = [store.ClipRow(n, f"content of {n}", f, plan.cells_of(n)) for n, f in CLIPS.items()]
    with silent.write(DATASET, feature_schemas(), "no encoders") as session:
        session.allocate(rows)
        for name, frames in CLIPS.items():
            session.write_clip(make_clip(name, frames))
    ingest(cache, CLIPS, encoders=encoder_keys(**{"audio/logmel": 2}))
    found = store.diff(silent.snapshot(), cache.snapshot())
    assert {entry.what for entry in found.entries if entry.kind == "cell"} == {
        "recomputed: encoder audio/logmel changed: version 1 -> 2"
    }


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ({"name": "x", "config": {"mels": 80, "fmin": 0}}, {"name": "x", "config": {"mels": 64}},
         "encoder x changed: config.mels 80 -> 64, config.fmin 0 -> none"),
        ({"name": "x"}, {"name": "y"}, "encoder changed: name x -> y"),
        ({"encoder": "e", **{f"s{i}": 1 for i in range(7)}},
         {"encoder": "e", **{f"s{i}": 2 for i in range(7)}},
         "encoder e changed: s0 1 -> 2, s1 1 -> 2, s2 1 -> 2, s3 1 -> 2 and 3 more"),
        ({"name": "x"}, {"name": "x"}, ""),
    ],
)  # fmt: skip
def test_encoders_are_compared_setting_by_setting(old: dict, new: dict, words: str) -> None:
    assert describe_change(store.EncoderKey("f", old), store.EncoderKey("f", new)) == words


def test_another_upstream_is_a_changed_encoder() -> None:
    old, new = (store.EncoderKey("f", {"name": "x"}, above) for above in (("a",), ("b", "a")))
    assert describe_change(old, new) == "encoder x changed: reads a -> a and b"
