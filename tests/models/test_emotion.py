"""Timelines of emotions, and how they are laid over speech."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.control import ControlConfig, margin_shift, smooth, steer
from models.data import TrainingData, merged_planes
from models.emotion import Timeline
from models.errors import EmotionError
from models.inference import Prediction
from pipeline.hyperplanes import HyperplaneSet


@pytest.fixture(scope="module")
def planes(data: TrainingData) -> HyperplaneSet:
    return merged_planes(data.planes, "ann")


def flat(frames: int = 100) -> Prediction:
    """Speech that moves coefficient 0 and shows no emotion."""
    alpha = np.zeros((frames, 4), dtype=np.float32)
    alpha[:, 0] = np.sin(np.arange(frames) * 0.9)
    return Prediction(alpha, np.full(frames, 0.5, dtype=np.float32), alpha)


def test_the_readme_line() -> None:
    timeline = Timeline.parse("happy@0-2, sad@3-5:0.8")
    assert timeline.tags == ("happy", "sad")
    weights = timeline.weights(150)
    assert weights[0].tolist() == [1, 0]
    assert weights[49].tolist() == pytest.approx([1, 0])
    assert weights[62].tolist() == pytest.approx([0.5, 0.4])  # centre of frame 62 is 2.5 s
    assert weights[75].tolist() == pytest.approx([0, 0.8])
    assert weights[-1].tolist() == pytest.approx([0, 0.8])  # held to the end


def test_one_tag_lasts_as_long_as_the_sound() -> None:
    assert Timeline.parse(" Happy : 1.5 ").weights(7).tolist() == [[1.5]] * 7


def test_points_are_passed_through() -> None:
    weights = Timeline.parse("neutral@0.02,happy@0.18").weights(5)
    assert weights[:, 1] == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_segments_that_touch_share_the_ease() -> None:
    weights = Timeline.parse("happy@0-2,sad@2-4").weights(100)
    assert weights.sum(axis=1) == pytest.approx(np.ones(100))
    assert weights[44, 0] == 1  # 1.78 s, before the ease of 0.4 s round 2 s
    assert weights[55, 1] == 1
    assert 0 < weights[49, 1] < 0.5 < weights[50, 1]


def test_compound_emotions_are_weighted_sums(planes: HyperplaneSet) -> None:
    timeline = Timeline.parse("happy*0.6+sad*0.4@0-1:0.5")
    expected = 0.3 * planes.plane("happy").w + 0.2 * planes.plane("sad").w
    assert timeline.normals(planes, 25)[3] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"cannot read ''"),
        ("happy@", r"cannot read 'happy@'"),
        ("happy@2-1", r"ends at 1.0 s, before its start"),
        ("happy@0-2,sad@1-3", r"sad starts at 1.0 s, before happy ends at 2.0 s"),
        ("happy,sad@1-3", r"cannot stand beside others"),
        ("happy:loud", r"cannot read 'happy:loud'.*for example"),
        ("hap py", r"cannot read 'hap py'"),
    ],
)
def test_what_cannot_be_read_is_quoted(text: str, message: str) -> None:
    with pytest.raises(EmotionError, match=message):
        Timeline.parse(text)


def test_a_timeline_beyond_the_sound_names_both_ends() -> None:
    timeline = Timeline.parse("happy@0-2,sad@3-5")
    with pytest.raises(EmotionError, match=r"sad reaches 5.0 s, the sound ends at 4.00 s"):
        timeline.weights(100)
    assert len(timeline.weights(124)) == 124  # one frame short is rounding, not a mistake


def test_an_unknown_emotion_gets_a_suggestion(planes: HyperplaneSet) -> None:
    with pytest.raises(EmotionError, match=r"'hapy' is not known for 'ann'; did you mean 'happy'?"):
        Timeline.parse("hapy").normals(planes, 10)
    with pytest.raises(EmotionError, match=r"known: happy, neutral, sad"):
        Timeline.parse("zzz").normals(planes, 10)


@given(
    times=st.lists(st.floats(0, 4), min_size=4, max_size=4, unique=True),
    frames=st.integers(100, 130),
)
def test_weights_never_jump(times: list[float], frames: int) -> None:
    a, b, c, d = (f"{t:.3f}" for t in sorted(times))
    try:
        weights = Timeline.parse(f"happy@{a}-{b},sad@{c}-{d}").weights(frames)
    except EmotionError:  # rounding made two times equal
        return
    assert weights.min() >= 0
    assert weights.sum(axis=1) == pytest.approx(np.ones(frames))
    gap = max(float(c) - float(b), 1e-3) if c != b else 0.001
    assert np.abs(np.diff(weights, axis=0)).max() <= min(1, 0.04 / gap) + 1e-9


def test_tau_mode_is_equation_9(planes: HyperplaneSet) -> None:
    prediction = flat()
    steered = steer(prediction, Timeline.parse("happy"), planes, ControlConfig(mode="tau"))
    expected = prediction.alpha_tilde + 0.5 * planes.plane("happy").w
    assert steered.alpha_hat == pytest.approx(expected, abs=1e-6)


def test_margin_mode_reaches_the_recordings(planes: HyperplaneSet) -> None:
    goal = planes.plane("happy").margin
    steered = steer(flat(), Timeline.parse("happy"), planes)
    assert steered.margin.mean() == pytest.approx(goal, abs=0.05)
    assert (steered.margin > 0).all()
    half = steer(flat(), Timeline.parse("happy:0.5"), planes)
    assert 0 < half.shift.mean() < steered.shift.mean()
    strong = steer(flat(), Timeline.parse("happy:1.5"), planes)
    assert strong.margin.mean() == pytest.approx(1.5 * goal, abs=0.05)


def test_what_is_happy_enough_is_left_alone(planes: HyperplaneSet) -> None:
    prediction = flat()
    alpha = prediction.alpha_tilde + 9 * planes.plane("happy").w.astype(np.float32)
    steered = steer(Prediction(alpha, prediction.tau, alpha), Timeline.parse("happy"), planes)
    assert steered.alpha_hat == pytest.approx(alpha)


def test_emotion_moves_slower_than_speech(planes: HyperplaneSet) -> None:
    prediction = flat(150)
    steered = steer(prediction, Timeline.parse("happy@0-2,sad@3-5"), planes)
    change = steered.alpha_hat - prediction.alpha_tilde
    jump = np.abs(np.diff(change, axis=0)).max()
    assert jump < 0.25 * np.abs(np.diff(prediction.alpha_tilde, axis=0)).max()
    assert steered.margin[10, 0] > 0 > steered.margin[10, 1]
    assert steered.margin[-10, 1] > 0 > steered.margin[-10, 0]


def test_margin_shift_by_hand() -> None:
    level = np.array([[-1.0], [-1.0], [-1.0], [3.0]])
    weights = np.array([[1.0], [0.5], [2.0], [1.0]])
    # to 1: 2; half of that: 1; to 2 * 1: 3; already deeper: 0
    assert margin_shift(weights, level, np.array([1.0])).ravel().tolist() == [2, 1, 3, 0]


def test_smoothing_keeps_constants_and_moments() -> None:
    pulse = np.zeros((51, 1))
    pulse[25] = 1
    assert smooth(np.ones((9, 2)), 0.5) == pytest.approx(np.ones((9, 2)))
    assert smooth(pulse, 0.1).argmax() == 25
    assert smooth(pulse, 0.1).sum() == pytest.approx(1)
    assert smooth(pulse, 0.0) == pytest.approx(pulse)
