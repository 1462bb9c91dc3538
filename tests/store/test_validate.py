"""`validate` finds what is wrong, names it, and the next plan repairs it."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from store_kit import DATASET, assert_clip, encoder_keys, ingest, make_clip

import store
from store.layout import open_dataset


def array(group: zarr.Group, path: str) -> zarr.Array:
    found = group[path]
    assert isinstance(found, zarr.Array)
    return found


def test_a_healthy_store_has_no_problems(cache: store.Cache) -> None:
    ingest(cache, {"a": 5, "b": 300})
    report = cache.validate(read_data=True)
    assert (report.ok, report.clips, report.valid) == (True, 2, 10)
    assert "2 clips, 10 valid, 0 rejected, 0 absent cells; every value read; no problems" in (
        report.summary()
    )


def test_a_valid_cell_whose_data_are_nan_is_found_and_repaired(cache: store.Cache) -> None:
    ingest(cache, {"a": 5, "b": 140})
    session = cache.repository.writable_session("main")
    group = open_dataset(zarr.open_group(session.store), DATASET)
    array(group, "frames/face/mar")[128 : 128 + 140] = np.nan
    session.commit("lose data")
    quick, deep = cache.validate(), cache.validate(read_data=True)
    assert "marked valid, but no data is stored" in quick.problems[0].what
    assert any("NaN in all 140 frames" in problem.what for problem in deep.problems)
    assert deep.damaged == [("b", "face/mar")]
    assert "demo/face/mar of clip b: " in deep.summary()
    sources = [store.SourceKey(name, f"content of {name}") for name in ("a", "b")]
    plan = store.plan(cache.snapshot(), DATASET, sources, encoder_keys(), deep.damaged)
    assert [cell[:3] for cell in plan.cells] == [("b", "face/mar", "forced")]
    ingest(cache, {"a": 5, "b": 140}, force=["face/mar"])
    assert cache.validate(read_data=True).ok
    assert_clip(cache.snapshot(), make_clip("b", 140))


CROOKED = {
    "clips/first_frame": (1, 64, "are not whole blocks of 128"),
    "clips/frames": (0, 200, "shares a block of the frame axis with clip a"),
    "cells/face/mar": (0, "", "is absent, but data is stored"),
    "rejections/face/mar": (0, "because", "is rejected, but data is stored"),
    "clips/clip_id": (1, "a", "shards belong to no clip"),
}


@pytest.mark.parametrize("path", CROOKED)
def test_a_crooked_table_is_found(cache: store.Cache, path: str) -> None:
    row, value, what = CROOKED[path]
    ingest(cache, {"a": 5, "b": 140})
    session = cache.repository.writable_session("main")
    group = open_dataset(zarr.open_group(session.store), DATASET)
    array(group, path)[row : row + 1] = np.array([value], array(group, path).dtype)
    session.commit("bend")
    assert any(what in problem.what for problem in cache.validate().problems)


def test_a_flipped_byte_is_found_in_every_feature(cache: store.Cache) -> None:
    """Flip one byte in the middle of each chunk file in turn: each is found and named."""
    ingest(cache, {"a": 40})
    files = sorted(Path(cache.location, "chunks").iterdir())
    assert files
    found = set()
    for file in files:
        healthy = file.read_bytes()
        at = len(healthy) // 2
        file.write_bytes(healthy[:at] + bytes([healthy[at] ^ 0x10]) + healthy[at + 1 :])
        report = store.Cache.open(cache.location).validate(read_data=True)
        file.write_bytes(healthy)
        assert report.damaged, file.stat().st_size
        found.update(report.damaged)
    assert store.Cache.open(cache.location).validate(read_data=True).ok
    assert {("a", "video/rgb"), ("a", "parsing/selfie"), ("a", "audio/logmel")} <= found
