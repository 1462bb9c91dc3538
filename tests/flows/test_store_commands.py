"""`emohead store ...`: each command on a small store, in words and as JSON."""

import datetime
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

import store
from flows.cli import app
from flows.errors import FlowError
from flows.store_care import moment

FEATURES = {
    "face/mar": store.FeatureSchema("face/mar", (), "float32", float("nan")),
    "audio/logmel": store.FeatureSchema("audio/logmel", (2,), "float32", float("nan")),
}
OLD = Path(__file__).parents[1] / "store" / "old" / "v1.zip"


def ingest(cache: store.Cache, clips: dict[str, str], version: int = 1) -> None:
    """Clips (id -> emotion) of five frames."""
    keys = {n: store.EncoderKey(n, {"encoder": n, "version": str(version)}) for n in FEATURES}
    sources = [store.SourceKey(clip, f"content of {clip}") for clip in clips]
    plan = store.plan(cache.snapshot(), "clips", sources, keys)
    with cache.write("clips", FEATURES, f"ingest {version}", encoders=keys) as session:
        rows = [
            store.ClipRow(c, h, 5, plan.cells_of(c), identity="M030", emotion=clips[c])
            for c, h in sources
        ]
        session.allocate(rows)
        for clip in clips:
            mar, logmel = np.full(5, version, np.float32), np.ones((5, 2), np.float32)
            session.write_clip(store.ClipWrite(clip, 5, {"face/mar": mar, "audio/logmel": logmel}))


@pytest.fixture
def cache(tmp_path: Path) -> store.Cache:
    cache = store.Cache.open(tmp_path / "store", create=True)
    ingest(cache, {"a": "happy", "b": "sad"})
    with cache.write("clips", {}, "fit") as session:
        arrays = {"w": np.ones((1, 1))}
        session.put_hyperplanes("face/mar", "M030", arrays, {"tags": ["happy"]}, ["a", "b"])
    cache.tag("v1")
    return cache


def ask(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["store", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def told(*arguments: str | Path, code: int = 0) -> Any:
    return json.loads(ask(*arguments, "--json", code=code))


@pytest.mark.parametrize(
    "command",
    ["info", "log", "diff", "tag", "tags", "untag", "gc", "compact", "export", "validate",
     "migrate", "fall-back", "packs"],
)  # fmt: skip
def test_every_command_shows_an_example_and_speaks_json(command: str) -> None:
    shown = CliRunner().invoke(app, ["store", command, "--help"], terminal_width=200)
    assert shown.exit_code == 0
    assert f"Example: emohead store {command}" in shown.stdout
    assert "--json" in shown.stdout


def test_info_and_log(cache: store.Cache) -> None:
    text = ask("info", cache.location)
    assert f"snapshot {cache.snapshot().id}, schema version 2" in text
    assert "clips: 2 clips, 0 s, 1 identity" in text
    assert "happy 1, sad 1" in text
    assert "2 valid     0 rejected     0 absent  face/mar 1" in text
    assert "hyperplanes M030 on face/mar, of 2 clips" in text
    facts = told("info", cache.location, "--ref", "v1")
    assert facts["datasets"]["clips"]["features"]["face/mar"]["valid"] == 2
    newest, *rest = told("log", cache.location)
    assert (newest["message"], newest["tags"]) == ("fit", ["v1"])
    assert len(rest) == 3
    assert ask("log", cache.location, "--limit", "1").count("\n") == 1
    assert ask("log", cache.location).splitlines()[0].endswith("fit  [v1]")


def test_diff_says_why(cache: store.Cache) -> None:
    ingest(cache, {"a": "happy", "b": "surprised", "c": "sad"}, version=2)
    text = ask("diff", cache.location, "v1")
    assert "clip: new: c" in text
    assert "label emotion: sad -> surprised: b" in text
    assert "cell face/mar: recomputed: encoder face/mar changed: version 1 -> 2: a, b" in text
    assert "hyperplanes face/mar/M030: deleted: labels or cells" in text
    found = told("diff", cache.location, "v1", "main")
    assert {entry["kind"] for entry in found["differences"]} == {
        "clip", "label", "cell", "hyperplanes",
    }  # fmt: skip
    with pytest.raises(store.UnknownError, match="no snapshot, tag or branch 'v9'; tags: v1"):
        ask("diff", cache.location, "v9")


def test_tags_come_and_go(cache: store.Cache) -> None:
    assert ask("tag", cache.location, "v2") == f"v2: snapshot {cache.snapshot().id}\n"
    assert list(told("tags", cache.location)) == ["v1", "v2"]
    assert "v2 no longer names" in ask("untag", cache.location, "v2")
    assert list(told("tags", cache.location)) == ["v1"]
    with pytest.raises(store.UnknownError, match="has no tag 'v2'; tags: v1"):
        ask("untag", cache.location, "v2")
    with pytest.raises(store.StoreError, match="a deleted name is never free again"):
        ask("tag", cache.location, "v2")


def test_gc_says_what_it_would_do_and_refuses_what_is_too_young(cache: store.Cache) -> None:
    would = told("gc", cache.location, "--older-than", "2h", "--expire", "--dry-run")
    assert (would["dry_run"], would["snapshots_expired"], would["chunks_deleted"]) == (True, 0, 0)
    with pytest.raises(store.StoreError, match="could delete what a running session has written"):
        ask("gc", cache.location, "--older-than", "5m")
    with pytest.raises(FlowError, match="'old' is no age and no date"):
        ask("gc", cache.location, "--older-than", "old")
    text = ask("gc", cache.location, "--older-than", "2026-05-01")
    assert text.startswith("older than 2026-05-01 00:00 UTC\ndeleted: 0 chunks")
    assert len(cache.log()) == 4
    # What a dry run counts, with a time that the command refuses because it is too young.
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
    ingest(cache, {"c": "sad"})
    would = cache._collect(later, expire=True, dry_run=True)
    done = cache._collect(later, expire=True)
    assert would["snapshots_expired"] == done["snapshots_expired"] > 0


def test_ages_and_dates() -> None:
    now = datetime.datetime(2026, 5, 10, 12, tzinfo=datetime.UTC)
    assert moment("30d", now) == now - datetime.timedelta(days=30)
    assert moment("1.5h", now) == now - datetime.timedelta(minutes=90)
    assert moment("2026-05-01", now) == datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)


def test_compact_and_migrate(cache: store.Cache, tmp_path: Path) -> None:
    assert "no holes in 2 blocks and 2 rows" in ask("compact", cache.location)
    with cache.write("clips", {}, "remove") as session:
        session.remove_clips(["a"])
    (done,) = told("compact", cache.location)
    assert (done["blocks_before"], done["blocks_after"]) == (2, 1)
    assert "has schema version 2 already" in ask("migrate", cache.location)
    with zipfile.ZipFile(OLD) as archive:
        archive.extractall(tmp_path / "old")
    assert "schema version 1" in ask("info", tmp_path / "old")
    assert told("migrate", tmp_path / "old")["tag"] == "before-migration-from-1"
    assert "schema version 2" in ask("info", tmp_path / "old")


def test_export(cache: store.Cache, tmp_path: Path) -> None:
    out = tmp_path / "files"
    done = told("export", cache.location, out, "--feature", "face/mar", "--clip", "a")
    assert (done["clips"], done["cells"]) == (2, 1)
    assert np.load(out / "features/face/mar/a.npy").tolist() == [1] * 5
    text = ask("export", cache.location, out, "--feature", "face/mar", "--format", "safetensors")
    assert "2 clips, face/mar: 2 cells" in text
    assert sorted(path.name for path in (out / "clips").iterdir()) == [
        "a.safetensors", "b.safetensors",
    ]  # fmt: skip
    with cache.write("second", FEATURES, "another dataset") as session:
        session.allocate([store.ClipRow("z", "1", 5, {"face/mar": "f"})])
        session.write_clip(store.ClipWrite("z", 5, {"face/mar": np.ones(5, np.float32)}))
    with pytest.raises(FlowError, match="datasets: clips, second; name one with --dataset"):
        ask("export", cache.location, tmp_path / "more")
    assert told("export", cache.location, tmp_path / "more", "--dataset", "second")["clips"] == 1


def test_validate_names_the_repair(cache: store.Cache) -> None:
    assert told("validate", cache.location, "--read-data")["ok"]
    session = cache.repository.writable_session("main")
    array = zarr.open_group(session.store)["clips/frames/face/mar"]
    assert isinstance(array, zarr.Array)
    array[128:133] = np.nan  # clip b
    session.commit("lose data")
    text = ask("validate", cache.location, "--read-data", code=3)
    assert "1 damaged cells can be computed again, and no others, by" in text
    assert f"emohead preprocess FOLDER --store {cache.location} --repair" in text
    found = told("validate", cache.location, "--read-data", code=3)
    assert found["damaged"] == [{"clip": "b", "feature": "face/mar"}]


def test_a_sound_store_falls_back_to_its_newest_snapshot(cache: store.Cache) -> None:
    assert told("fall-back", cache.location) == {"snapshot": cache.snapshot().id}
    assert len(cache.log()) == 4


def test_packs_are_listed(cache: store.Cache, tmp_path: Path) -> None:
    folder = tmp_path / "packs"
    with pytest.raises(FlowError, match="is not there"):
        ask("packs", folder)
    store.pack(cache.snapshot(), "clips", ["face/mar"], folder)
    (found,) = told("packs", folder)
    assert (found["clips"], found["features"]) == (2, ["face/mar"])
    assert found["snapshot"] == cache.snapshot().id
    (folder / "broken").mkdir()
    assert "is not a pack" in ask("packs", folder, code=3)
