"""Clips whose emotion nobody knows: learnt from together with labelled ones, or left out."""

import json
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_kit import config

from models.ablation import METRICS, AblationConfig, run_ablation
from models.ablation_rows import GROUPS
from models.ablation_tables import write_tables
from models.batches import Batches
from models.checkpoint import AudioExpressionModel, Checkpoint
from models.config import TrainConfig
from models.data import TrainingData
from models.discriminators import Discriminators
from models.emotion_free import hide_labels, learnt_from
from models.errors import ModelConfigError, TrainingDataError
from models.labels import label_vector
from models.recurrent import RecurrentGenerator
from models.speech import speak
from models.trainer import train_audio_expression

LSTM: dict[str, Any] = {"architecture": "recurrent", "noisy": 0.6, "adversarial": 0.01}
MOEE: dict[str, Any] = {"architecture": "moee", "noisy": 0.6, "source_dropout": 0.2}


def batches(data: TrainingData, **changes: Any) -> Batches:
    train = config(**changes)
    return Batches(data, train, AudioExpressionModel(train.network(data.widths, data.k)).standard)


def test_of_each_persons_emotion_the_same_share_is_hidden(data: TrainingData) -> None:
    before = Counter((c.identity, c.emotion) for c in data.part("train"))
    hidden = hide_labels(data, 0.5, seed=0)
    after = Counter((c.identity, c.emotion) for c in hidden.part("train") if c.emotion)
    assert {key: n - round(0.5 * n) for key, n in before.items()} == after
    assert [c for c in hidden.clips if c.split != "train"] == [
        c for c in data.clips if c.split != "train"
    ]
    assert hidden.planes is data.planes
    assert hide_labels(data, 0.5, seed=0).clips == hidden.clips
    assert any(hide_labels(data, 0.5, seed=s).clips != hidden.clips for s in range(1, 4))
    assert hide_labels(data, 0.0, seed=0).clips == data.clips
    with pytest.raises(ModelConfigError, match=r"share of hidden labels is 1\.5"):
        hide_labels(data, 1.5, seed=0)


def test_left_out_clips_are_not_drawn_and_do_not_count_in_the_statistics(
    data: TrainingData, tmp_path: Path
) -> None:
    hidden = hide_labels(data, 0.5, seed=0)
    labelled = tuple(c for c in hidden.part("train") if c.emotion)
    assert learnt_from(hidden, emotion_free=True) == hidden.part("train")
    assert batches(hidden, **LSTM).sampler.clips == hidden.part("train")
    assert batches(hidden, **LSTM, emotion_free=False).sampler.clips == labelled
    done = train_audio_expression(hidden, config(**LSTM, emotion_free=False, steps=1), tmp_path)
    rows = np.concatenate([np.arange(c.first, c.first + c.frames) for c in labelled])
    mean = data.features.audio[rows].mean(axis=0)
    np.testing.assert_allclose(done.model.standard.audio_mean, mean, atol=1e-5)
    left = len(hidden.part("train")) - len(labelled)
    assert f"{left} training clips have no emotion tag: they are not learnt from" in " ".join(
        done.state["notes"]
    )
    with pytest.raises(TrainingDataError, match=r"none of \d+ training clips has an emotion tag"):
        learnt_from(hide_labels(data, 1.0, seed=0), emotion_free=False)


@pytest.mark.parametrize("noisy", [0.0, 1.0])
def test_a_window_without_a_label_shows_what_was_recorded_or_wholly_anothers_emotion(
    noisy: float, data: TrainingData
) -> None:
    hidden = hide_labels(data, 0.5, seed=0)
    plenty = batches(hidden, **MOEE | {"noisy": noisy, "source_dropout": 0.0, "batch": 64})
    draw, batch = plenty.sampler.draw(3), plenty.of(3)
    clips, window = plenty.sampler.clips, plenty.sampler.window
    bare = np.array([not clips[i].emotion for i in draw.clip])
    assert 0 < bare.sum() < 64
    assert batch.asked.known[~bare, 0].all()
    assert (batch.asked.known[bare, 0] == (noisy == 1)).all()
    assert not batch.other_known[bare].any()  # who wears the same emotion is not known
    tags = {tuple(label_vector(tag)) for tag in ("neutral", "happy", "sad")}
    for row in np.flatnonzero(bare):
        clip, start = clips[draw.clip[row]], draw.start[row]
        recorded = hidden.whitened(clip)[start : start + window]
        assert np.allclose(batch.own[row], recorded, atol=1e-5) is (noisy == 0)
        assert tuple(batch.asked.label[row, 0].tolist()) in tags  # never a mix with nobody's


def test_the_generator_learns_what_no_label_means_from_such_clips_alone(
    data: TrainingData, tmp_path: Path
) -> None:
    hidden = hide_labels(data, 0.5, seed=0)
    for together in (True, False):
        settings = config(**LSTM, steps=4, emotion_free=together)
        done = train_audio_expression(hidden, settings, tmp_path / str(together))
        assert isinstance(done.model.network, RecurrentGenerator)
        assert bool(done.model.network.unlabelled.any()) is together


def test_the_discriminators_do_not_take_an_unknown_label_for_neutral() -> None:
    judges = Discriminators(k=4, labels=3)
    alpha, label = torch.randn(2, 8, 4), torch.zeros(2, 8, 3)
    yes, no = torch.tensor([True, True]), torch.tensor([False, False])
    label[0, :, 1] = 1  # what an unknown label holds is not read
    with torch.no_grad():
        judges.frame_unknown.fill_(0.25)
        frames, stretches = judges(alpha, label, no)
        x = judges.frame(alpha)
        plain = judges.of_frame(x)[..., 0]
        torch.testing.assert_close(frames, plain + 0.25 * x.sum(dim=-1))
        torch.testing.assert_close(judges(alpha, label, yes)[0][1], plain[1])  # neutral: ψ alone
        assert not torch.allclose(stretches[0], judges(alpha, label, yes)[1][0])


def test_without_any_label_it_trains_and_says_that_nothing_can_be_asked_for(
    data: TrainingData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bare = hide_labels(data, 1.0, seed=0)
    f = bare.clip_features(bare.part("held_out_sentence")[0])
    for name, system in (("lstm", LSTM), ("moee", MOEE)):
        done = train_audio_expression(bare, config(**system, steps=4), tmp_path / name)
        count = len(bare.part("train"))
        told = f"{count} of {count} training clips have no emotion tag: none of these can be asked"
        assert told in " ".join(done.state["notes"])
        with caplog.at_level(logging.WARNING, logger="models.speech"):
            said = speak(done, f, "happy@0-1, sadly_angry@1-2", "ann")
        assert "was labelled happy, sad, angry (there were: none)" in said.remark
        assert said.remark in caplog.text
        assert np.isfinite(said.alpha).all()
        assert not speak(done, f, None, "ann").remark


def test_a_label_nobody_taught_is_a_guess_and_said_so(data: TrainingData, tmp_path: Path) -> None:
    done = train_audio_expression(data, config(**LSTM, steps=2), tmp_path)
    f = data.clip_features(next(c for c in data.clips if c.emotion == "happy"))
    assert speak(done, f, "happy", "ann").remark == ""
    fear = speak(done, f, "neutral@0-1, fear@1-2", "ann").remark
    assert "was labelled fear (there were: happy, neutral, sad)" in fear
    older: Checkpoint = replace(done, state={**done.state, "voices": None})
    assert speak(older, f, "fear", "ann").remark == ""  # what it learnt from is not kept


def test_the_ablation_hides_labels_and_compares_under_one_judge(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = GROUPS["emotion-free"]
    systems = [row.changes["architecture"] for row in rows]
    assert systems == ["recurrent"] * 3 + ["moee"] * 3
    assert [row.hidden for row in rows] == [0, 0.75, 0.75] * 2
    monkeypatch.setitem(GROUPS, "emotion-free", rows[:3])
    tiny = TrainConfig(steps=2, batch=2, window=24, d=8, d_h=8, ffn_widths=(8,), validate_every=2)
    result = run_ablation(data, AblationConfig(("emotion-free",), (0,), tiny), tmp_path)
    cells = [json.loads(p.read_text()) for p in (tmp_path / "cells").iterdir()]
    (alone,) = {c["data"] for c in cells if not c["settings"]["emotion_free"]}
    together = {c["data"] for c in cells if c["settings"]["emotion_free"]}
    assert len(cells) == 3
    assert len(together) == 2
    assert alone in together  # the same labels are hidden
    for cell in cells:
        assert set(cell["scores"]) == set(METRICS)
    # `data` knows no mouths: such a figure stands as a dash, not as NaN
    text = write_tables(result, tmp_path)["md"].read_text()
    row = next(
        line for line in text.splitlines() if line.startswith("| EMOdiffhead's LSTM, all labels")
    )
    assert "| – |" in row
    assert "nan" not in text
