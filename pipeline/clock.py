"""The one clock: frames of 1/25 s, 640 samples of 16 kHz in each, two 50 Hz steps.

Frame i covers [i/25, (i+1)/25) s and shows what the source displays at its centre, i/25 + 1/50 s.
All arithmetic is in integers or exact fractions; seconds as floats never decide an index.
"""

import math
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

_INT64 = 2**63 - 1


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
    starts: Int[np.ndarray, " shown"], time_base: Fraction, origin: Fraction, end: Fraction
) -> Int64[np.ndarray, " frames"]:
    """Which source frame each frame of the grid shows.

    Args:
        starts: strictly increasing display times of the source frames, in `time_base` units.
        time_base: seconds per unit, exact.
        origin: time in seconds at which grid frame 0 begins.
        end: time in seconds at which the last frame disappears or the range stops.

    Returns:
        For each of frame_count(end - origin) grid frames the index of the last source frame that
        started at or before its centre.

    Raises:
        ClockError: no source frame, times that do not increase, a range that is empty, or a grid
            frame before the first source frame.
    """
    if len(starts) == 0:
        raise ClockError("no source frame to put on the 25 fps grid; the stream decodes to nothing")
    if np.any(np.diff(starts) <= 0):
        at = int(np.argmax(np.diff(starts) <= 0))
        raise ClockError(
            f"display times must increase: source frame {at} at {starts[at]}, "
            f"frame {at + 1} at {starts[at + 1]}"
        )
    frames = frame_count(end - origin)
    # All times as integers of one common unit, so that no comparison is ever rounded.
    unit = math.lcm(time_base.denominator, origin.denominator, 2 * FPS)
    scale, zero = unit // time_base.denominator * time_base.numerator, int(origin * unit)
    if max(abs(int(starts[0])), abs(int(starts[-1]))) * scale > _INT64 // 2:
        raise ClockError(f"display times reach {starts[-1]} x {time_base} s; the header lies")
    shown = starts.astype(np.int64) * scale - zero
    centres = (2 * np.arange(frames, dtype=np.int64) + 1) * (unit // (2 * FPS))
    indices = np.searchsorted(shown, centres, side="right").astype(np.int64) - 1
    if frames == 0 or indices[0] < 0:
        raise ClockError(
            f"no source frame covers the first grid frame: range {float(origin):.3f} to "
            f"{float(end):.3f} s, first source frame at {float(starts[0] * time_base):.3f} s"
        )
    return indices


def same_length(name: str, got: int, expected: int, unit: str = "frames") -> None:
    """Hold a length against the clock.

    Raises:
        ClockError: naming the item and both lengths.
    """
    if got != expected:
        raise ClockError(f"{name}: {got} {unit}, but the clip has {expected} {unit}")
