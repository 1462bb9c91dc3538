"""Networks that are told the emotion: MoEE's light variant and EMOdiffhead's generator, trained."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_kit import FRAMES, config, joined, made_clips
from safetensors.torch import load_file

from models.asked import Asked
from models.checkpoint import LAST, AudioExpressionModel, Checkpoint, load
from models.data import SpeechFeatures, TrainingData
from models.errors import EmotionError, ModelConfigError, TrainingDataError
from models.experts.network import ExpertNetwork, is_expert
from models.inference import predict
from models.label_scores import dial_scores
from models.speech import speak
from models.steering_scores import steering_scores
from models.trainer import train_audio_expression

MOEE: dict[str, Any] = {"architecture": "moee", "noisy": 0.6, "source_dropout": 0.2, "steps": 240}
LSTM: dict[str, Any] = {"architecture": "recurrent", "noisy": 0.6, "adversarial": 0.01}


@pytest.fixture(scope="module")
def seen() -> TrainingData:
    """The small world; the mouth opens with coefficient 0."""
    clips = made_clips()
    data = joined(clips)
    return replace(data, mouth=data.expression[:, 0].copy())


@pytest.fixture(scope="module")
def moee(seen: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return train_audio_expression(seen, config(**MOEE), tmp_path_factory.mktemp("moee"))


@pytest.fixture(scope="module")
def lstm(seen: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return train_audio_expression(seen, config(**LSTM), tmp_path_factory.mktemp("lstm"))


def without_experts(done: Checkpoint) -> Checkpoint:
    """The same weights, the experts left out."""
    model = AudioExpressionModel(replace(done.model.config, experts=False))
    model.load_state_dict(done.model.state_dict())
    return replace(done, model=model.eval())


def side(done: Checkpoint, data: TrainingData) -> float:
    held = data.part("held_out_sentence")
    return float(np.mean([s.side for s in steering_scores(done, data, held, own=False)]))


@pytest.mark.parametrize("which", ["moee", "lstm"])
def test_held_out_speech_shows_the_emotion_it_is_asked_for(
    which: str, seen: TrainingData, request: pytest.FixtureRequest
) -> None:
    done = request.getfixturevalue(which)
    assert side(done, seen) > 0.9  # every other emotion than the voice's
    assert done.state["best"]["correlation"] > 0.5


def test_without_experts_the_voice_decides(moee: Checkpoint, seen: TrainingData) -> None:
    assert side(moee, seen) - side(without_experts(moee), seen) > 0.5


@pytest.mark.parametrize("which", ["moee", "lstm"])
def test_a_label_is_a_dial_and_a_mix_lies_between(
    which: str, seen: TrainingData, request: pytest.FixtureRequest
) -> None:
    dial = dial_scores(request.getfixturevalue(which), seen, seen.part("held_out_sentence"))
    assert dial.monotone >= 0.9
    assert dial.between == 1.0
    assert dial.pairs == len(seen.part("held_out_sentence"))  # happy and sad


def test_the_second_stage_leaves_the_first_ones_weights_alone(
    seen: TrainingData, tmp_path: Path
) -> None:
    for steps, share in ((10, 1.0), (20, 0.5)):
        train_audio_expression(
            seen, config(**MOEE | {"steps": steps, "stage_1": share, "save_every": 10}),
            tmp_path / str(steps),
        )  # fmt: skip
    first = load(tmp_path / "10", "last").model.network
    second = load(tmp_path / "20", "last").model.network
    assert isinstance(first, ExpertNetwork)
    fresh = AudioExpressionModel(config(**MOEE).network(seen.widths, seen.k)).network
    for name, value in second.state_dict().items():
        same = torch.equal(value, first.state_dict()[name])
        assert same is not is_expert(name) or "key" in name, name  # no gradient while out is 0
    assert not torch.any(first.mixture.out)
    assert fresh.state_dict().keys() == second.state_dict().keys()


class Stopped(Exception):
    """What ends a run in the middle."""


@pytest.mark.parametrize("settings", [MOEE, LSTM | {"ema": 0.9}], ids=["moee", "lstm"])
@pytest.mark.parametrize("at", [13, 27])
def test_a_stopped_run_ends_with_the_same_bits(
    seen: TrainingData, tmp_path: Path, settings: dict[str, Any], at: int
) -> None:
    short = config(**settings | {"steps": 40, "save_every": 10, "log_every": 1})

    def stop(step: int, steps: int, metrics: dict[str, float]) -> None:
        if step == at:
            raise Stopped

    train_audio_expression(seen, short, tmp_path / "straight")
    with pytest.raises(Stopped):
        train_audio_expression(seen, short, tmp_path / "stopped", stop)
    train_audio_expression(seen, short, tmp_path / "stopped")
    a, b = (load_file(tmp_path / name / LAST) for name in ("straight", "stopped"))
    assert a.keys() == b.keys()
    assert any("adversary/" in name for name in a) is ("adversarial" in settings)
    for name in a:
        assert torch.equal(a[name], b[name]), name


def features_of(data: TrainingData, tag: str) -> SpeechFeatures:
    clip = next(c for c in data.part("held_out_sentence") if c.emotion == tag)
    return data.clip_features(clip)


def test_a_label_beats_a_voice_that_contradicts_it_and_it_is_logged(
    moee: Checkpoint, seen: TrainingData, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="models.speech"):
        agreed = speak(moee, features_of(seen, "happy"), "happy", "ann")
        assert not caplog.records
        against = speak(moee, features_of(seen, "sad"), "happy", "ann")
    assert "the voice sounds sad" in caplog.text
    assert "happy is shown, the voice's emotion is not read" in caplog.text
    assert agreed.remark == ""
    assert against.remark in caplog.text
    for said in (agreed, against):
        assert (said.steered.margin[:, 0] > 0).mean() > 0.9


def test_the_voice_alone_is_enough(moee: Checkpoint, seen: TrainingData) -> None:
    plane = seen.planes["ann"].planes["happy"]
    depth = {
        tag: float((speak(moee, features_of(seen, tag), None, "ann").alpha @ plane.w).mean())
        for tag in ("happy", "sad")
    }
    assert depth["happy"] > depth["sad"] + 1


def test_silence_without_a_word_still_shows_the_label(
    moee: Checkpoint, lstm: Checkpoint, seen: TrainingData
) -> None:
    f = features_of(seen, "neutral")
    silent = SpeechFeatures(
        f.audio, f.emotion, np.zeros((0, 6), np.float32), np.full(FRAMES, -1, np.int32)
    )
    for done in (moee, lstm):
        said = speak(done, silent, "sad", "bob")
        assert np.isfinite(said.alpha).all()
        assert (said.steered.margin[:, 0] > 0).mean() > 0.8


def test_a_compound_has_no_hyperplane_of_its_own_but_can_be_asked_for(
    moee: Checkpoint, seen: TrainingData
) -> None:
    said = speak(moee, features_of(seen, "neutral"), "sadly_angry@0-1, happy@1-2", "ann")
    assert np.isnan(said.steered.margin[:, 0]).all()
    assert np.isfinite(said.steered.margin[:, 1]).all()
    with pytest.raises(EmotionError, match="did you mean 'happy'"):
        speak(moee, features_of(seen, "neutral"), "happi", "ann")


def test_labels_of_another_width_are_refused(moee: Checkpoint, seen: TrainingData) -> None:
    f = features_of(seen, "sad")
    with pytest.raises(TrainingDataError, match=r"labels of 3 weights, .* trained on 8"):
        predict(moee.model, f, np.zeros((FRAMES, 4), np.float32), 24, np.zeros((FRAMES, 3)))


def test_noise_needs_labels_and_whitened_units(seen: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(ModelConfigError, match=r"noisy is 0.5, but emohead is told no label"):
        config(noisy=0.5)
    with pytest.raises(TrainingDataError, match="loss_units is raw and noisy is above 0"):
        train_audio_expression(seen, config(**LSTM | {"loss_units": "raw"}), tmp_path)
    with pytest.raises(ModelConfigError, match=r"stage_1 is 1\.5"):
        config(stage_1=1.5)


def test_nothing_asked_is_no_label(seen: TrainingData) -> None:
    asked = Asked.nothing(2, 3, 8, torch.device("cpu"))
    assert asked.known.tolist() == [[False, True, True]] * 2
    assert not asked.label.any()
