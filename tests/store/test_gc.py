"""Collecting garbage: what a release or the newest snapshot holds is never touched."""

import datetime
from pathlib import Path

import pytest
from store_kit import assert_clip, encoder_keys, ingest, make_clip

import store


def chunk_files(cache: store.Cache) -> int:
    return len(list(Path(cache.location, "chunks").iterdir()))


def test_gc_keeps_releases_and_the_newest_and_frees_the_rest(cache: store.Cache) -> None:
    clips = {"a": 40}
    ingest(cache, clips)
    cache.tag("v1")
    for version in (2, 3):
        changed = encoder_keys(**{"video/rgb": version})
        ingest(cache, clips, encoders=changed, seed=version)
    middle = cache.log()[1].id
    before = chunk_files(cache)
    now = datetime.datetime.now(datetime.UTC)
    with pytest.raises(store.StoreError, match="could delete what a running session has written"):
        cache.gc(now)
    done = cache._collect(now + datetime.timedelta(seconds=1), expire=True)
    assert done["snapshots_expired"] >= 1
    assert done["chunks_deleted"] == before - chunk_files(cache) > 0
    touched = ["video/rgb", "face/mar", "parsing/selfie"]
    again = store.Cache.open(cache.location)
    assert_clip(again.snapshot("v1"), make_clip("a", 40))
    assert_clip(again.snapshot(), make_clip("a", 40, 3, touched))
    assert again.validate(read_data=True).ok
    assert again.validate("v1", read_data=True).ok
    assert middle not in [entry.id for entry in again.log()]
    ingest(again, {"a": 40, "b": 10}, encoders=encoder_keys(**{"video/rgb": 3}))
    assert_clip(again.snapshot(), make_clip("b", 10))


def test_gc_without_expiry_frees_only_what_nobody_committed(cache: store.Cache) -> None:
    ingest(cache, {"a": 40})
    ingest(cache, {"a": 40}, force=["face/mar", "audio/logmel"], seed=1)
    ids = [entry.id for entry in cache.log()]
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
    done = cache._collect(later, expire=False)
    assert (done["snapshots_expired"], done["snapshots_deleted"]) == (0, 0)
    assert [entry.id for entry in cache.log()] == ids
    assert_clip(cache.snapshot(ids[1]), make_clip("a", 40))
