"""`emohead ablate` on a small store, and what training says of a store it cannot use."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from model_kit import made_clips, stored

from flows.ablate import AblationFlowConfig, ablate
from flows.ablate_head import ROWS, power, shown
from flows.config import AudioExpressionFlowConfig, HyperplaneFlowConfig
from flows.errors import NothingToDo
from flows.evaluate import markdown
from flows.features import FeatureNames
from flows.fit_hyperplanes import fit_hyperplanes
from flows.orchestra import run
from flows.train_audio_expression import train_audio_expression, training_data, unused_labels
from models.data import ClipRow
from models.errors import ModelConfigError
from pipeline.hyperplanes import fit_scopes
from store import Cache

NAMES = FeatureNames(audio="audio/a", emotion="emotion/e", text="text/t", expression="expression/x")
TINY = {"batch": 2, "window": 24, "d": 8, "d_h": 8, "ffn_widths": [8], "steps": 2}


def config(store: Path, out: Path, **changes: Any) -> AblationFlowConfig:
    fields = {"store": str(store), "out": out, "rows": ("refinement",), "seeds": (0,)}
    return AblationFlowConfig(**(fields | {"settings": TINY, "names": NAMES} | changes))


def test_a_store_becomes_tables_and_the_second_run_trains_nothing(tmp_path: Path) -> None:
    stored(made_clips(), tmp_path / "store")
    paths = run(ablate, config(tmp_path / "store", tmp_path / "out"))
    text = Path(paths["md"]).read_text()
    assert "| refinement: without | ER |" in text
    assert "one seed: no spread known" in text
    cells = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "cells").iterdir()}
    assert len(cells) == 2
    run(ablate, config(tmp_path / "store", tmp_path / "out"))
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "cells").iterdir()} == cells
    with pytest.raises(ModelConfigError, match="rows depth are unknown"):
        run(ablate, config(tmp_path / "store", tmp_path / "out", rows=("depth",)))


def test_absent_features_are_said(tmp_path: Path) -> None:
    cache = stored(made_clips(sentences=2), tmp_path / "store")
    with pytest.raises(NothingToDo, match="holds no hyperplanes on expression/x"):
        training_data(cache.snapshot(), "clips", NAMES, tmp_path / "packs")
    run(ablate, config(tmp_path / "store", tmp_path / "out"))
    absent = NAMES.model_copy(update={"audio": "audio/hubert"})
    with pytest.raises(NothingToDo, match=r"no clip has both sound and a face \(the cells are abs"):
        training_data(cache.snapshot(), "clips", absent, tmp_path / "packs")
    wordless = NAMES.model_copy(update={"text": "text/llama"})
    with pytest.raises(NothingToDo, match=r"'clips' has no token table 'text/llama'"):
        training_data(cache.snapshot(), "clips", wordless, tmp_path / "packs")


def test_rows_of_losses_show_small_weights_and_reasons() -> None:
    assert [power(v) for v in (0.0, 1e-9, 5e-3, 1e-2, 1.0)] == ["0", "1e-9", "5e-3", "1e-2", "1e0"]
    cord, shape, paper = ROWS["both x 5"]
    row = {"losses": "both x 5", "λ_cord": cord, "λ_shape": shape, "paper: M-LMD / F-LMD": paper}
    lacking = "L_cord left out: no CLIP: get it from x; L_shape left out: no net: get it from y"
    text = markdown([shown(row | {"not measured": lacking})])
    assert "| both x 5 | 5e-3 | 5e-9 | not measured |" in text
    assert text.endswith("| not measured: L_cord left out: no CLIP; L_shape left out: no net |")
    # A head whose landmarks nobody could find still has its pictures' figures.
    told = shown(row | {"psnr": 20.0, "ssim": 0.9, "expression": "not measured: no face"})
    assert (told["psnr"], told["m_lmd"]) == (20.0, "not measured")
    assert told["note"] == "not measured: no face"


def test_clips_without_a_label_are_learnt_from_and_counted(tmp_path: Path) -> None:
    """One person's clips carry no label, as in a plain folder: nothing is dropped in silence."""
    clips = [replace(c, emotion="" if c.identity == "bob" else c.emotion) for c in made_clips()]
    stored(clips, tmp_path / "store")
    store = str(tmp_path / "store")
    run(fit_hyperplanes, HyperplaneFlowConfig(store=store, expression=NAMES.expression))
    form = AudioExpressionFlowConfig(
        store=store, names=NAMES, system="emodiffhead", out=tmp_path / "network", settings=TINY
    )
    notes = " ".join(run(train_audio_expression, form)["notes"])
    count = sum(c.split == "train" for c in data_of(store, tmp_path))
    bare = sum(c.split == "train" and not c.emotion for c in data_of(store, tmp_path))
    assert bare > 0
    told = f"{bare} of {count} training clips have no emotion tag: what the face does with the so"
    assert told in notes
    assert "count as unlabelled" not in notes
    without = form.model_copy(update={"settings": TINY | {"emotion_free": False}})
    notes = " ".join(run(train_audio_expression, without)["notes"])
    assert f"{bare} training clips have no emotion tag: they are not learnt from" in notes


def test_a_label_without_a_hyperplane_is_not_lost_in_silence() -> None:
    alpha = np.random.default_rng(0).normal(size=(60, 4))
    planes, _ = fit_scopes(
        alpha, alpha[:, 0], ["happy"] * 60, ["a"] * 30 + ["b"] * 30, ["ann"] * 60
    )
    (note,) = unused_labels(planes, [("ann", "happy"), ("ann", ""), ("ann", "happy")])
    assert note.startswith("2 clips of ann are labelled happy and count as unlabelled: there is no")
    assert "a plane divides one emotion from the others, found 1 (happy)" in note


def data_of(store: str, folder: Path) -> tuple[ClipRow, ...]:
    return training_data(Cache.open(store).snapshot(), "clips", NAMES, folder / "packs").clips
