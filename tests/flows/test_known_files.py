"""A second scan is told what the store knows of files."""

from pathlib import Path

import store
from flows.planning import known_files


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
