"""What is held against what before anything is learnt."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from model_kit import joined, made_clips

from models.data import (
    ClipRow,
    LabelledClip,
    TrainingData,
    join_clips,
    lone_tags,
    merged_planes,
    normal_of,
    plane_of,
    read_steps,
    standard_statistics,
)
from models.errors import TrainingDataError
from models.split import SplitConfig, SplitKey, assign_splits


def with_first(clips: list[LabelledClip], **changes: Any) -> list[LabelledClip]:
    return [replace(clips[0], **changes), *clips[1:]]


def test_joining_keeps_every_clip(data: TrainingData) -> None:
    clips = made_clips()
    assert [c.clip_id for c in data.clips] == [c.clip_id for c in clips]
    for row, clip in zip(data.clips, clips, strict=True):
        f = data.clip_features(row)
        assert np.array_equal(f.audio, clip.features.audio)
        spoken = clip.features.token_index >= 0
        assert np.array_equal(f.token_index >= 0, spoken)
        assert np.array_equal(
            f.tokens[f.token_index[spoken]],
            clip.features.tokens[clip.features.token_index[spoken]],
        )
    assert (data.widths.audio, data.widths.emotion, data.widths.text, data.k) == (12, 5, 6, 4)


def test_nothing_to_learn_from_is_said(data: TrainingData) -> None:
    with pytest.raises(TrainingDataError, match="no clips"):
        join_clips([], data.planes)


def test_values_that_are_not_finite_are_named(data: TrainingData) -> None:
    clips = made_clips()
    audio = clips[0].features.audio.copy()
    audio[7, 2] = np.nan
    bad = with_first(clips, features=replace(clips[0].features, audio=audio))
    with pytest.raises(TrainingDataError, match="ann_neutral_0: audio is not finite at frame 7 of"):
        join_clips(bad, data.planes)
    blind = with_first(clips, expression=np.full_like(clips[0].expression, np.nan))
    with pytest.raises(TrainingDataError, match="none of 60 frames has expression"):
        join_clips(blind, data.planes)


def test_indices_beyond_the_table_are_named(data: TrainingData) -> None:
    clips = made_clips(sentences=1)
    last = clips[-1]
    bad = replace(last, features=replace(last.features, token_index=last.features.token_index + 9))
    with pytest.raises(TrainingDataError, match="table has 18 tokens"):
        join_clips([*clips[:-1], bad], data.planes)


def test_lengths_that_differ_are_named(data: TrainingData) -> None:
    with pytest.raises(TrainingDataError, match=r"'audio': 1440.*'expression': 1439"):
        replace(data, expression=data.expression[:-1])


def test_an_unknown_identity_or_tag_is_named(data: TrainingData) -> None:
    clips = made_clips()
    with pytest.raises(TrainingDataError, match=r"'eve' has no stored whitening \(known: ann, bob"):
        join_clips(with_first(clips, identity="eve"), data.planes)
    with pytest.raises(TrainingDataError, match=r"no hyperplane for 'calm' of identity 'ann'"):
        join_clips(with_first(clips, emotion="calm"), data.planes)


def test_a_clip_without_emotion_is_not_refined(data: TrainingData) -> None:
    joined_ = join_clips(with_first(made_clips(), emotion=""), data.planes)
    assert normal_of(joined_.planes, "ann", "").tolist() == [0] * 4


def test_pooled_planes_stand_in(data: TrainingData) -> None:
    own = data.planes["ann"]
    thin = replace(own, planes={"neutral": own.planes["neutral"]}, rejected={"sad": "too thin"})
    planes = {**data.planes, "ann": thin}
    assert plane_of(planes, "ann", "sad") is planes["pooled"].planes["sad"]
    assert plane_of(planes, "ann", "neutral") is own.planes["neutral"]
    assert plane_of(planes, "ann", "neutral", "pooled") is planes["pooled"].planes["neutral"]
    merged = merged_planes(planes, "ann")
    assert set(merged.planes) == {"neutral", "happy", "sad"}
    assert merged.whitening is thin.whitening
    assert not merged.rejected
    with pytest.raises(TrainingDataError, match=r"ann: too thin; pooled: no hyperplanes"):
        plane_of({"ann": thin}, "ann", "sad")


def test_steps_are_read_as_pairs() -> None:
    steps = np.array([[[1.0, 2.0], [3.0, 6.0]]])
    assert read_steps(steps).tolist() == [[2, 4]]
    assert read_steps(steps, "concat").tolist() == [[1, 2, 3, 6]]
    with pytest.raises(TrainingDataError, match="not 'first'"):
        read_steps(steps, "first")


def test_a_still_channel_is_not_blown_up() -> None:
    mean, std = standard_statistics(np.array([[1.0, 5.0], [3.0, 5.0]]))
    assert mean.tolist() == [2, 5]
    assert std.tolist() == [1, 1]


def row(identity: str, emotion: str) -> ClipRow:
    return ClipRow("c", identity, emotion, None, "train", 0, 9)


def test_tags_of_one_identity_are_found() -> None:
    rows = [row("a", "sad"), row("b", "sad"), row("a", "fear"), row("a", "fear"), row("b", "")]
    assert lone_tags(rows) == {"fear": "a"}


def keys(split: str | None = None, sentences: int = 10) -> list[SplitKey]:
    return [
        SplitKey(f"{i}{e}{s}", i, e, f"s{s}", split)
        for i in "ab"
        for e in ("sad", "happy")
        for s in range(sentences)
    ]


def test_sentences_are_held_out_from_everybody() -> None:
    splits = assign_splits(keys(), SplitConfig(sentences=0.2, clips=0.1))
    out = {key.sentence for key in keys() if splits[key.clip_id] == "held_out_sentence"}
    heard = {key.sentence for key in keys() if splits[key.clip_id] == "train"}
    assert len(out) == 2
    assert not out & heard
    assert sum(v == "held_out_clip" for v in splits.values()) == 3  # 10 % of 32, rounded
    assert splits == assign_splits(list(reversed(keys())), SplitConfig(sentences=0.2, clips=0.1))


def test_an_identitys_only_clip_of_an_emotion_is_learnt_from() -> None:
    lone = [SplitKey(f"{e}", "a", e, None, None) for e in ("sad", "happy", "fear", "angry")]
    assert set(assign_splits(lone, SplitConfig(clips=0.9)).values()) == {"train"}


def test_a_corpus_that_names_splits_is_believed() -> None:
    named = [
        SplitKey("1", "a", "sad", "s1", "train"),
        SplitKey("2", "a", "sad", "s1", "test"),
        SplitKey("3", "a", "sad", "s2", "val"),
        SplitKey("4", "z", "sad", "s1", "test"),
    ]
    assert assign_splits(named) == {
        "1": "train",
        "2": "held_out_clip",
        "3": "held_out_sentence",
        "4": "held_out_identity",
    }
    with pytest.raises(TrainingDataError, match="1 clips and none of them to train on"):
        assign_splits(named[1:2])


def test_the_world_of_the_tests_is_learnable(data: TrainingData) -> None:
    for tag in ("happy", "sad"):
        assert (data.planes["ann"].planes[tag].accuracy or 0) > 0.9
    assert joined(made_clips(("ann",))).part("train")
