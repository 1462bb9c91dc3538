"""An export holds the very values, appears whole or not at all, and replaces only exports."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from store_kit import DATASET, encoder_keys, feature_schemas, ingest, make_clip

import store
from store import exporting

CHOSEN = ["face/mar", "audio/logmel", "text/words"]
NAMES = {"plain": 9, "clip/ü 1": 130, "x" * 300: 2}


@pytest.fixture
def filled(cache: store.Cache) -> store.Cache:
    ingest(cache, NAMES)
    silent = replace(make_clip("mute", 4, 0, ["face/mar"]), rejected={"audio/logmel": "no sound"})
    with cache.write(DATASET, feature_schemas(), "mute") as session:
        cells = dict.fromkeys(["face/mar", "audio/logmel"], "f")
        session.allocate([store.ClipRow("mute", "1", 4, cells, emotion="sad")])
        session.write_clip(silent)
    with cache.write(DATASET, {}, "fit") as session:
        arrays = {"w": np.arange(4.0).reshape(2, 2), "b": np.array([1, 2])}
        session.put_hyperplanes("face/mar", "M003", arrays, {"tags": ["happy"]}, ["plain"])
    return cache


def test_npy_files_hold_the_values(filled: store.Cache, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    done = store.export(filled.snapshot(), DATASET, folder, CHOSEN)
    assert (done.clips, done.cells, done.reused) == (4, 3 * 3 + 1, False)
    table = pd.read_parquet(folder / "clips.parquet")
    assert set(table["clip_id"]) == {*NAMES, "mute"}
    files = dict(zip(table["clip_id"], table["file"], strict=True))
    assert files["clip/ü 1"] == "clip%2F%C3%BC 1"
    assert len(files["x" * 300]) < 255
    assert table.set_index("clip_id").loc["mute", "emotion"] == "sad"
    assert table.set_index("clip_id").loc["mute", "rejected"] == '{"audio/logmel": "no sound"}'
    for name, frames in NAMES.items():
        expected = make_clip(name, frames)
        for feature in CHOSEN:
            values = np.load(folder / "features" / feature / f"{files[name]}.npy")
            assert values.dtype == expected.arrays[feature].dtype
            np.testing.assert_array_equal(values, expected.arrays[feature])
        tokens = np.load(folder / "tokens/text/words" / f"{files[name]}.npy")
        np.testing.assert_array_equal(tokens, expected.tokens["text/words"])
    assert not (folder / "features/audio/logmel/mute.npy").exists()
    planes = np.load(folder / "hyperplanes/face/mar/M003.npz")
    assert planes["w"].tolist() == [[0, 1], [2, 3]]
    facts = json.loads((folder / "hyperplanes/face/mar/M003.json").read_text())
    assert facts["fitted_on"] == {"clips": ["plain"], "features": ["face/mar"]}
    assert facts["attributes"] == {"tags": ["happy"]}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["snapshot"] == filled.snapshot().id
    assert list(manifest["features"]) == CHOSEN
    readme = (folder / "README.txt").read_text()
    assert filled.snapshot().id in readme
    assert "audio/logmel           float32 [2, 240] a frame" in readme
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []


def test_safetensors_hold_the_values(filled: store.Cache, tmp_path: Path) -> None:
    chosen = ["plain", "clip/ü 1"]
    done = store.export(
        filled.snapshot(), DATASET, tmp_path / "out", CHOSEN, "safetensors", clips=chosen
    )
    assert (done.clips, done.cells) == (4, 6)
    assert len(list((tmp_path / "out/clips").iterdir())) == 2
    for name in chosen:
        found = load_file(tmp_path / "out/clips" / f"{exporting.file_name(name)}.safetensors")
        expected = make_clip(name, NAMES[name])
        for feature in CHOSEN:
            np.testing.assert_array_equal(found[feature], expected.arrays[feature])
        np.testing.assert_array_equal(found["text/words#tokens"], expected.tokens["text/words"])


def test_an_export_is_found_again_and_replaced_by_another(
    filled: store.Cache, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()  # empty: fine
    first = filled.snapshot()
    store.export(first, DATASET, folder, ["face/mar"])
    again = store.export(first, DATASET, folder, ["face/mar"])
    assert again.reused
    assert "was there already" in again.summary()
    ingest(filled, NAMES, encoders=encoder_keys(**{"audio/logmel": 2}))
    newer = store.export(filled.snapshot(), DATASET, folder, ["audio/logmel"])
    assert not newer.reused
    assert newer.snapshot_id != first.id
    assert not (folder / "features/face").exists()


def test_what_is_not_an_export_is_never_replaced(filled: store.Cache, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    (mine / "manifest.json").write_text('{"name": "somebody else\'s"}')
    with pytest.raises(store.ExportError, match="not empty and was not exported by emohead"):
        store.export(filled.snapshot(), DATASET, mine, ["face/mar"])
    with pytest.raises(store.ExportError, match="is a file"):
        store.export(filled.snapshot(), DATASET, mine / "thesis.txt", ["face/mar"])
    assert (mine / "thesis.txt").read_text() == "x"
    with pytest.raises(store.UnknownError, match="has no feature 'face/x'; it has: audio/logmel"):
        store.export(filled.snapshot(), DATASET, tmp_path / "out", ["face/x"])
    with pytest.raises(store.UnknownError, match="no clip 'z'"):
        store.export(filled.snapshot(), DATASET, tmp_path / "out", ["face/mar"], clips=["z"])


@pytest.mark.parametrize("form", ["npy", "safetensors"])
def test_a_killed_export_goes_on_where_it_stopped(
    filled: store.Cache, tmp_path: Path, form: exporting.Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    before = store.export(filled.snapshot(), DATASET, folder, ["video/rgb"])
    written: list[str] = []
    put = exporting._put_clip

    def dies_at_the_third(*arguments: object) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(str(arguments[3]))
        put(*arguments)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patch:
        patch.setattr(exporting, "_put_clip", dies_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            store.export(filled.snapshot(), DATASET, folder, CHOSEN, form)
    assert json.loads((folder / "manifest.json").read_text())["key"]  # the one before, untouched
    assert (folder / "features/video/rgb").is_dir()
    reads: list[str] = []
    read_many = store.Snapshot.read_many

    def counted(self: store.Snapshot, dataset: str, windows: list) -> list[np.ndarray]:
        reads.extend(clip_id for _, clip_id, _, _ in windows)
        return read_many(self, dataset, windows)

    monkeypatch.setattr(store.Snapshot, "read_many", counted)
    done = store.export(filled.snapshot(), DATASET, folder, CHOSEN, form)
    assert done.cells == 10
    assert set(reads).isdisjoint(written)
    assert before.bytes > 0
    fresh = store.export(filled.snapshot(), DATASET, tmp_path / "fresh", CHOSEN, form)
    assert (fresh.bytes, fresh.cells) == (done.bytes, done.cells)


def test_a_full_disk_leaves_what_was_there(
    filled: store.Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.export(filled.snapshot(), DATASET, tmp_path / "out", ["face/mar"])

    def full(path: Path, values: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_put_npy", full)
    with pytest.raises(store.ExportError, match=r"broke off \(No space left.*is as it was"):
        store.export(filled.snapshot(), DATASET, tmp_path / "out", CHOSEN)
    assert (tmp_path / "out/features/face/mar/plain.npy").exists()
