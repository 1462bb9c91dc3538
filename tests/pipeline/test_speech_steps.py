import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import clock
from pipeline.errors import ClockError
from pipeline.speech.level import levelled, speech_level
from pipeline.speech.steps import delta, paired, step_frames


@given(frames=st.integers(1, 40), width=st.integers(400, 1200))
def test_padded_sound_gives_two_steps_a_frame(frames: int, width: int) -> None:
    audio = np.zeros(clock.samples_of(frames) + clock.STEP_PADDING, dtype=np.float32)
    assert step_frames(audio, width).shape == (2 * frames, width)


@pytest.mark.parametrize("extra", [0, 1, 79, 81, 400])
def test_other_lengths_are_refused(extra: int) -> None:
    audio = np.zeros(640 * 3 + extra, dtype=np.float32)
    with pytest.raises(ClockError, match=str(len(audio))):
        step_frames(audio)


def test_step_k_covers_samples_320k_to_320k_plus_400() -> None:
    audio = np.arange(640 * 2 + 80, dtype=np.float64)
    steps = step_frames(audio)
    assert steps[:, 0].tolist() == [0, 320, 640, 960]
    assert steps[:, -1].tolist() == [399, 719, 1039, 1359]


def test_a_wide_window_keeps_its_centre_on_the_field() -> None:
    audio = np.arange(640 + 80, dtype=np.float64)
    wide = step_frames(audio, 404)
    assert wide[1, 2:-2].tolist() == step_frames(audio)[1].tolist()
    assert wide[0, :2].tolist() == [0, 0]  # before the sound: silence


def test_delta_of_a_line_is_its_slope() -> None:
    line = np.arange(10, dtype=np.float64)[:, None] * 3
    # held ends flatten the outermost two: (1*(x1-x0) + 2*(x2-x0)) / 10 = (3 + 12) / 10 at 0
    assert delta(line)[2:-2, 0] == pytest.approx(np.full(6, 3.0))
    assert delta(line)[0, 0] == pytest.approx(1.5)


def test_pairs_keep_their_order() -> None:
    steps = np.arange(8, dtype=np.float32).reshape(4, 2)
    assert paired(steps)[1].tolist() == [[4, 5], [6, 7]]


def test_level_ignores_pauses_and_is_reached() -> None:
    rng = np.random.default_rng(0)
    speech = rng.normal(size=8000).astype(np.float32) * 0.01
    audio = np.concatenate([speech, np.zeros(4000, dtype=np.float32)])
    assert speech_level(audio) == pytest.approx(-40, abs=0.5)
    louder, gain = levelled(audio, -23.0, 40.0)
    assert gain == pytest.approx(17, abs=0.5)
    assert speech_level(louder) == pytest.approx(-23, abs=0.01)


def test_silence_is_not_amplified() -> None:
    silent = np.zeros(6400, dtype=np.float32)
    assert speech_level(silent) is None
    same, gain = levelled(silent, -23.0, 40.0)
    assert gain == 0
    assert same is silent


def test_gain_is_limited() -> None:
    faint = np.full(6400, 1e-5, dtype=np.float32)
    assert levelled(faint, -23.0, 40.0)[1] == 40.0
