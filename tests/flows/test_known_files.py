"""A second scan is told what the store knows of files."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

import store
from flows.planning import known_clips, known_files
from flows.rounds import settled_files, stored_frames
from pipeline.source import ClipSource


def test_files_of_the_store_are_known_unless_they_were_too_young(tmp_path: Path) -> None:
    assert known_files(None, "d") == {}
    cache = store.Cache.open(tmp_path / "store", create=True)
    assert known_files(cache.snapshot(), "d") == {}
    with cache.write("d", {}, "rows") as session:
        rows = [
            store.ClipRow("a", "1", 0, uri="/v/a.mp4", sha256="aa", size=7, mtime_ns=5),
            store.ClipRow("b", "2", 0, uri="/v/b.mp4", sha256="bb", size=8, mtime_ns=-1),
        ]
        session.allocate(rows)
        for row in rows:
            session.write_clip(store.ClipWrite(row.clip_id, 0))
    assert known_files(cache.snapshot(), "d") == {("/v/a.mp4", 7, 5): "aa"}
    assert known_clips(cache.snapshot(), "d") == {"a": "1", "b": "2"}


def source(clip_id: str, content: str, mtime_ns: int) -> ClipSource:
    return ClipSource(
        clip_id=clip_id, content=content, path=Path(f"/v/{clip_id}.mp4"), sha256="s", start=None,
        end=None, dataset="plain", identity="i", emotion=None, intensity=None, view=None,
        sentence=None, split=None, transcript=None, size=1, mtime_ns=mtime_ns,
    )  # fmt: skip


def test_files_that_have_settled_are_said_along_with_the_next_commit(tmp_path: Path) -> None:
    cache = store.Cache.open(tmp_path / "store", create=True)
    with cache.write("d", {}, "rows") as session:
        rows = [store.ClipRow(name, f"of {name}", 0, mtime_ns=-1) for name in "abcd"]
        session.allocate([*rows, store.ClipRow("e", "of e", 0, mtime_ns=3)])
        for row in (*rows, store.ClipRow("e", "of e", 0)):
            session.write_clip(store.ClipWrite(row.clip_id, 0))
    sources = {
        "a": source("a", "of a", 7),
        "b": source("b", "of b", -1),  # still young
        "c": source("c", "other", 7),  # planned anew, not brought up to date
        "d": source("d", "of d", 7),  # written in this run
        "e": source("e", "of e", 7),
    }
    work = SimpleNamespace(
        before=cache.snapshot(), config=SimpleNamespace(dataset="d"), sources=sources
    )
    assert settled_files(cast(Any, work), {"d"}) == ["a"]
    work.before = None
    assert settled_files(cast(Any, work), ()) == []


def test_frames_are_those_of_the_stored_clip_if_it_is_this_very_one(tmp_path: Path) -> None:
    cache = store.Cache.open(tmp_path / "store", create=True)
    schema = store.FeatureSchema("f", (), "float32", float("nan"))
    with cache.write("d", {"f": schema}, "clips") as session:
        session.allocate([store.ClipRow("a", "of a", 9, {"f": "p"}), store.ClipRow("b", "of b", 0)])
        session.write_clip(store.ClipWrite("a", 7, {"f": np.ones(7, "float32")}))
        session.write_clip(store.ClipWrite("b", 0))
    here = cache.snapshot()
    assert stored_frames(here, "d", source("a", "of a", 1)) == 7
    assert stored_frames(here, "d", source("a", "other", 1)) is None
    assert stored_frames(here, "d", source("b", "of b", 1)) is None  # nothing reserved
    assert stored_frames(here, "d", source("z", "of z", 1)) is None
    assert stored_frames(None, "d", source("a", "of a", 1)) is None
