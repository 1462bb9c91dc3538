"""The one clock: frames of 1/25 s, 640 samples of 16 kHz in each, two 50 Hz steps.

Frame i covers [i/25, (i+1)/25) s and shows what the source displays at its centre, i/25 + 1/50 s.
All arithmetic is in integers or exact fractions; seconds as floats never decide an index.
"""

from fractions import Fraction

import numpy as np
from jaxtyping import Int, Int64

from pipeline.errors import ClockError

FPS = 25
"""Frames per second of every stored feature."""
SAMPLE_RATE = 16_000
"""Audio samples per second, Hz."""
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
"""640 samples of sound belong to one frame."""
STEP_SAMPLES = 320
"""Hop of the 50 Hz speech encoders, samples."""
STEPS_PER_FRAME = SAMPLES_PER_FRAME // STEP_SAMPLES
"""Two 50 Hz steps per frame."""
STEP_PADDING = 80
"""Samples added on the right so that a 400-sample field with hop 320 gives exactly 2 V steps."""


def frame_centre(frame: int) -> Fraction:
    """Time in seconds at which a frame looks at the source: i/25 + 1/50."""
    return Fraction(2 * frame + 1, 2 * FPS)


def frame_count(duration: Fraction) -> int:
    """Frames whose centre lies before `duration` seconds; N source frames of 25 fps give N."""
    if duration <= 0:
        return 0
    # ceil(duration * FPS - 1/2) in integers
    return -((duration.denominator - 2 * FPS * duration.numerator) // (2 * duration.denominator))


def frame_at(seconds: Fraction) -> int:
    """Index of the frame that covers a time: floor(25 t)."""
    return (seconds * FPS).__floor__()


def sample_at(seconds: Fraction) -> int:
    """Index of the 16 kHz sample nearest to a time; halves go up."""
    return (seconds * SAMPLE_RATE + Fraction(1, 2)).__floor__()


def samples_of(frames: int) -> int:
    """Audio samples of `frames` frames."""
    return frames * SAMPLES_PER_FRAME


def steps_of(frames: int) -> int:
    """50 Hz steps of `frames` frames."""
    return frames * STEPS_PER_FRAME


def displayed(
    starts: Int[np.ndarray, " shown"], end: int, time_base: Fraction
) -> Int64[np.ndarray, " frames"]:
    """Which source frame each frame of the grid shows, zero being the first source frame's start.

    Args:
        starts: strictly increasing display times of the source frames, in `time_base` units.
        end: time at which the last source frame disappears, same units.
        time_base: seconds per unit, exact.

    Returns:
        For each grid frame the index of the last source frame that started at or before its centre.

    Raises:
        ClockError: no source frame, times that do not increase, or an end before the last start.
    """
    if len(starts) == 0:
        raise ClockError("no source frame to put on the 25 fps grid; the stream decodes to nothing")
    starts = starts.astype(np.int64)
    if np.any(np.diff(starts) <= 0):
        at = int(np.argmax(np.diff(starts) <= 0))
        raise ClockError(
            f"display times must increase: source frame {at} at {starts[at]}, "
            f"frame {at + 1} at {starts[at + 1]}"
        )
    if end <= starts[-1]:
        raise ClockError(f"the last source frame starts at {starts[-1]} but ends at {end}")
    zero = int(starts[0])
    frames = frame_count((end - zero) * time_base)
    # start * num / den <= (2 i + 1) / (2 FPS), multiplied out to integers
    scaled = (starts - zero) * (2 * FPS * time_base.numerator)
    centres = (2 * np.arange(frames, dtype=np.int64) + 1) * time_base.denominator
    return np.searchsorted(scaled, centres, side="right").astype(np.int64) - 1


def same_length(name: str, got: int, expected: int, unit: str = "frames") -> None:
    """Hold a length against the clock.

    Raises:
        ClockError: naming the item and both lengths.
    """
    if got != expected:
        raise ClockError(f"{name}: {got} {unit}, but the clip has {expected} {unit}")
