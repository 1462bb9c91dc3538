"""Packs of a real store become training data: offsets, tokens, splits, and clear refusals."""

from pathlib import Path

import numpy as np
import pytest
from model_kit import joined, made_clips, stored

from models.data import Split, TrainingData
from models.errors import TrainingDataError
from models.pack_data import PackFeatures, training_data_of
from store import Pack, pack

NAMES = PackFeatures("audio/a", "emotion/e", "expression/x", "text/t", "face/mar")


def read(cells: Pack, words: Pack | None, like: TrainingData) -> TrainingData:
    splits: dict[str, Split] = {c.clip_id: c.split for c in like.clips}
    tags = {c.clip_id: c.emotion for c in like.clips}
    return training_data_of(cells, words, NAMES, like.planes, splits, tags, 6, {"snapshot": "S"})


def test_a_store_becomes_the_training_data_that_joining_gives(tmp_path: Path) -> None:
    clips = made_clips(sentences=2)
    like = joined(clips)
    snapshot = stored(clips, tmp_path / "store").snapshot()
    needed = ("audio/a", "emotion/e", "expression/x", "face/mar")
    cells = pack(snapshot, "clips", needed, tmp_path / "packs")
    words = pack(snapshot, "clips", ("text/t",), tmp_path / "packs")
    data = read(cells, words, like)
    assert {c.clip_id for c in data.clips} == {c.clip_id for c in like.clips}
    assert data.widths == like.widths
    assert data.provenance == {"snapshot": "S"}
    assert data.mouth is not None
    originals = {c.clip_id: c for c in clips}
    for row in data.clips:
        made, f = originals[row.clip_id], data.clip_features(row)
        rows = slice(row.first, row.first + row.frames)
        assert f.audio == pytest.approx(made.features.audio, abs=1e-6)  # the mean of the pair
        assert f.emotion == pytest.approx(made.features.emotion, abs=1e-6)
        assert np.array_equal(data.expression[rows], made.expression)
        assert np.array_equal(data.mouth[rows], made.expression[:, 0])
        assert (row.identity, row.emotion, row.sentence) == (
            made.identity, made.emotion, made.sentence
        )  # fmt: skip
        if row.clip_id == clips[0].clip_id:
            assert (f.token_index == -1).all()
            continue
        spoken = f.token_index >= 0
        assert np.array_equal(spoken, made.features.token_index >= 0)
        said = made.features.tokens[made.features.token_index[spoken]]
        assert np.array_equal(f.tokens[f.token_index[spoken]], said)
    mute = read(cells, None, like)
    assert mute.widths == like.widths
    assert (mute.features.token_index == -1).all()


def test_a_feature_without_steps_is_refused(tmp_path: Path) -> None:
    clips = made_clips(sentences=1)
    like = joined(clips)
    snapshot = stored(clips, tmp_path / "store").snapshot()
    cells = pack(snapshot, "clips", ("expression/x", "emotion/e"), tmp_path / "packs")
    names = PackFeatures("expression/x", "emotion/e", "expression/x", "text/t")
    splits: dict[str, Split] = {c.clip_id: c.split for c in like.clips}
    tags = {c.clip_id: c.emotion for c in like.clips}
    with pytest.raises(TrainingDataError, match=r"expression/x has shape \(360, 4\) .* 50 Hz"):
        training_data_of(cells, None, names, like.planes, splits, tags, 6)
