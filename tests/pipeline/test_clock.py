"""The grid is exact for any frame rate, jitter and offset."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import clock
from pipeline.errors import ClockError

RATES = [Fraction(15), Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001)]
RATES += [Fraction(30), Fraction(50), Fraction(60000, 1001), Fraction(60), Fraction(120)]


def test_frame_centres_and_counts_by_hand():
    assert clock.frame_centre(0) == Fraction(1, 50)
    assert clock.frame_centre(24) == Fraction(49, 50)
    # a frame counts when its centre is still shown: 1/50 s is not before 1/50 s
    assert [clock.frame_count(Fraction(n, 100)) for n in (0, 2, 3, 4, 6, 7)] == [0, 0, 1, 1, 1, 2]
    assert clock.frame_count(Fraction(-1)) == 0


@given(st.integers(1, 100_000))
def test_n_frames_of_25_fps_are_n_frames(frames: Any):
    assert clock.frame_count(Fraction(frames, 25)) == frames


@given(st.fractions(0, 4000, max_denominator=100_000))
def test_frame_count_is_the_number_of_centres_before_the_end(duration: Any):
    count = clock.frame_count(duration)
    assert count == 0 or clock.frame_centre(count - 1) < duration
    assert clock.frame_centre(count) >= duration


@given(st.fractions(0, 4000, max_denominator=100_000))
def test_frame_and_sample_of_a_time(time: Any):
    frame = clock.frame_at(time)
    assert Fraction(frame, 25) <= time < Fraction(frame + 1, 25)
    assert abs(Fraction(clock.sample_at(time), 16_000) - time) <= Fraction(1, 32_000)


def test_samples_and_steps():
    assert clock.samples_of(25) == clock.SAMPLE_RATE
    assert clock.steps_of(25) == 50
    # HuBERT: (640 V + 80 - 400) // 320 + 1 = 2 V
    for frames in (1, 7, 1500):
        padded = clock.samples_of(frames) + clock.STEP_PADDING
        assert (padded - 400) // clock.STEP_SAMPLES + 1 == clock.steps_of(frames)


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_constant_rates_show_what_is_on_display_at_the_centre(rate: Any):
    tick, count = Fraction(1, 90_000), 400
    starts = np.array([round(i / rate / tick) for i in range(count)])
    shown = clock.displayed(starts, tick, Fraction(0), count / rate)
    for i, index in enumerate(shown):
        assert starts[index] * tick <= clock.frame_centre(i)
        assert index + 1 == count or starts[index + 1] * tick > clock.frame_centre(i)


@given(
    jitter=st.lists(st.integers(-19, 19), min_size=2, max_size=60),
    offset=st.integers(-10_000, 10_000),
)
def test_25_fps_passes_through_whatever_the_jitter_below_half_a_frame(jitter: Any, offset: Any):
    starts = np.array([40 * i + j + offset for i, j in enumerate([0, *jitter[1:]])])
    origin = Fraction(offset, 1000)
    end = origin + Fraction(len(starts), 25)
    shown = clock.displayed(starts, Fraction(1, 1000), origin, end)
    assert shown.tolist() == list(range(len(starts)))


@settings(deadline=None)  # machines that share their cores stall
@given(
    gaps=st.lists(st.integers(1, 300), min_size=1, max_size=20),
    tick=st.sampled_from([Fraction(1, 1000), Fraction(1, 9000), Fraction(1001, 60_000)]),
    first=st.integers(-5000, 5000),
)
def test_any_times_against_a_loop_of_exact_fractions(gaps: Any, tick: Any, first: Any):
    starts = np.cumsum([first, *gaps])
    origin, end = first * tick, (starts[-1] + 1) * tick
    if clock.frame_count(end - origin) == 0:
        with pytest.raises(ClockError, match="no source frame covers"):
            clock.displayed(starts, tick, origin, end)
        return
    shown = clock.displayed(starts, tick, origin, end)
    for i, index in enumerate(shown):
        centre = origin + clock.frame_centre(i)
        assert index == max(k for k, start in enumerate(starts) if int(start) * tick <= centre)


def test_lies_are_refused_with_both_values():
    tick, zero = Fraction(1, 25), Fraction(0)
    with pytest.raises(ClockError, match="frame 1 at 5, frame 2 at 5"):
        clock.displayed(np.array([0, 5, 5]), tick, zero, Fraction(1))
    with pytest.raises(ClockError, match="decodes to nothing"):
        clock.displayed(np.array([], np.int64), tick, zero, Fraction(1))
    with pytest.raises(ClockError, match=r"first source frame at 0\.400 s"):
        clock.displayed(np.array([10, 11]), tick, zero, Fraction(1))
    with pytest.raises(ClockError, match="the header lies"):
        clock.displayed(np.array([0, 2**62]), tick, zero, Fraction(1))
    with pytest.raises(ClockError, match="audio: 639 samples, but the clip has 640 samples"):
        clock.same_length("audio", 639, 640, "samples")
