"""The mouth's opening as a line through the coefficients, and steering that leaves it alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.checkpoint import load
from models.config import TrainConfig
from models.control import ControlConfig, across, steer
from models.data import TrainingData, merged_planes
from models.emotion import Timeline
from models.inference import Prediction
from models.mouth import MouthOpening, fit_mouths
from models.steering_scores import steering_scores
from models.trainer import train_audio_expression


@pytest.fixture(scope="module")
def with_mouth(data: TrainingData) -> TrainingData:
    """Mouth = 0.2 + 0.05 x first + 0.03 x second whitened coefficient, a little noise."""
    white = np.concatenate([data.whitened(clip) for clip in data.clips])
    noise = np.random.default_rng(0).normal(size=len(white)) * 0.01
    return replace(data, mouth=0.2 + white[:, :2] @ np.array([0.05, 0.03]) + noise)


def test_the_line_is_found_again(with_mouth: TrainingData) -> None:
    found = fit_mouths(with_mouth)
    assert set(found) == {"ann", "bob"}
    mouth = found["ann"]
    assert mouth.weights == pytest.approx([0.05, 0.03, 0, 0], abs=0.002)
    assert mouth.offset == pytest.approx(0.2, abs=0.002)
    assert 0.9 < mouth.explained < 1
    assert np.linalg.norm(mouth.direction) == pytest.approx(1)
    assert mouth.of(np.array([[1.0, 0, 0, 0]])) == pytest.approx(mouth.offset + mouth.weights[0])
    assert MouthOpening.from_dict(mouth.to_dict()).of(np.eye(4)) == pytest.approx(
        mouth.of(np.eye(4))
    )


def test_a_mouth_that_goes_its_own_way_is_left_out(data: TrainingData) -> None:
    assert fit_mouths(data) == {}
    noise = np.random.default_rng(0).normal(size=len(data.expression))
    assert fit_mouths(replace(data, mouth=noise)) == {}
    assert fit_mouths(replace(data, mouth=np.zeros(len(data.expression)))) == {}


def test_across_by_hand() -> None:
    # w = (0.6, 0.8), the mouth opens along the first axis: 1 - 0.36 = 0.64 of the margin is left
    w, mouth = np.array([[0.6, 0.8]]), np.array([1.0, 0.0])
    out = across(w, mouth)
    assert out.tolist() == [pytest.approx([0, 1.25])]
    assert (out @ w.T).item() == pytest.approx(1)  # a unit still adds a margin of 1
    assert across(np.array([[0.9, 0.436]]), mouth).tolist() == [[0.9, 0.436]]  # mostly mouth


def test_steering_reaches_the_emotion_and_leaves_the_mouth(
    with_mouth: TrainingData, tmp_path: Path
) -> None:
    config = TrainConfig(steps=60, batch=8, window=24, d=16, d_h=16, ffn_widths=(16,),
                         learning_rate=3e-3)  # fmt: skip
    train_audio_expression(with_mouth, config, tmp_path)
    checkpoint = load(tmp_path)
    assert checkpoint.mouth("ann") is not None
    assert checkpoint.mouth("eve") is None
    held = with_mouth.part("held_out_sentence")
    for score in steering_scores(checkpoint, with_mouth, held, own=False):
        assert score.side >= 0.95
        assert abs(score.mouth_growth) < 1e-6
        assert score.frames == 240  # two people, two other tags, 60 frames
    free = steering_scores(checkpoint, with_mouth, held, ControlConfig(keep_mouth=False))
    assert max(abs(score.mouth_growth) for score in free) > 1e-3
    blind = replace(with_mouth, mouth=None)
    assert np.isnan(steering_scores(checkpoint, blind, held)[0].mouth_error)


def test_a_restless_face_goes_deeper(data: TrainingData) -> None:
    """Where speech moves across the plane, the mean margin of recordings is not deep enough."""
    planes = merged_planes(data.planes, "ann")
    plane = planes.planes["neutral"]
    swing = 3 * plane.margin * np.sin(np.arange(200) * 0.9)
    alpha = (swing[:, None] * plane.w).astype(np.float32)
    prediction = Prediction(alpha, np.zeros(200, dtype=np.float32), alpha)
    timeline = Timeline.parse("neutral")
    mean = steer(prediction, timeline, planes, ControlConfig(on_side=0.5))
    deep = steer(prediction, timeline, planes, ControlConfig(on_side=0.97))
    assert (mean.margin > 0).mean() < 0.8
    assert (deep.margin > 0).mean() >= 0.95


def test_no_jump_at_a_change_of_tags_above_the_voices_own_motion(data: TrainingData) -> None:
    """Frame to frame, over all timelines tried: emotion moves less than speech does."""
    planes = merged_planes(data.planes, "ann")
    alpha = np.zeros((150, 4), dtype=np.float32)
    alpha[:, 0] = np.sin(np.arange(150) * 0.9)  # lips at 3.6 Hz, one deviation wide
    prediction = Prediction(alpha, np.full(150, 0.5, dtype=np.float32), alpha)
    voice = np.linalg.norm(np.diff(alpha, axis=0), axis=1).max()
    for text in ("happy@0-3,sad@3-6", "neutral@0-1,happy@1-2,sad@2-4,neutral@4-6",
                 "happy@0-2,sad@2.2-6:1.3", "happy*0.7+sad*0.3@0-3,neutral@3.1-6"):  # fmt: skip
        steered = steer(prediction, Timeline.parse(text), planes)
        emotion = np.linalg.norm(np.diff(steered.alpha_hat - alpha, axis=0), axis=1).max()
        assert emotion < voice, text
