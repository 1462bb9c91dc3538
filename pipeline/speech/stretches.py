"""Sound too long for one pass of a speech network, cut into stretches that overlap.

HuBERT and emotion2vec look at all of what they are given (normalisation over time, attention), so
cutting changes values; the context on either side keeps the change small and off the seams. Up to
`longest` nothing is cut.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from pipeline import clock
from pipeline.errors import ClockError, ProfileError
from pipeline.speech.steps import paired


@dataclass(frozen=True)
class StepsConfig:
    """What every 50 Hz network shares: how long a pass is, and where it runs."""

    longest_s: float = 60.0
    """Longest sound of one pass, seconds; longer clips are read in overlapping stretches."""
    context_s: float = 2.0
    """Sound on either side of a stretch that is read but not kept, seconds."""
    device: str = "cpu"
    """Where it runs; not part of the fingerprint."""

    def __post_init__(self) -> None:
        """A stretch must keep something."""
        if self.context_s < 0 or self.longest_s <= 2 * self.context_s:
            raise ProfileError(
                f"stretches of {self.longest_s} s with {self.context_s} s of context on either "
                "side keep nothing"
            )


@dataclass(frozen=True)
class Stretch:
    """Frames that are read together, and which of them are kept."""

    first: int
    past: int
    keep_first: int
    keep_past: int


def stretches(frames: int, longest: int, context: int) -> list[Stretch]:
    """Stretches of at most `longest` frames whose kept parts cover every frame once.

    >>> stretches(10, 6, 1)
    [Stretch(first=0, past=6, keep_first=0, keep_past=5), Stretch(first=4, past=10, keep_first=5, \
keep_past=10)]

    Raises:
        ClockError: a context that leaves nothing to keep.
    """
    if longest <= 2 * context or context < 0:
        raise ClockError(
            f"stretches of {longest} frames with {context} frames of context on either side keep "
            "nothing"
        )
    if frames <= longest:
        return [Stretch(0, frames, 0, frames)] if frames else []
    out: list[Stretch] = []
    kept = 0
    while kept < frames:
        first = max(0, min(kept - context, frames - longest))
        past = first + longest
        keep_past = frames if past >= frames else past - context
        out.append(Stretch(first, past, kept, keep_past))
        kept = keep_past
    return out


def normalised(
    audio: Float32[np.ndarray, " samples"], floor: float
) -> Float32[np.ndarray, " samples"]:
    """Mean 0 and deviation 1 over all that is given; `floor` is added to the variance."""
    return ((audio - audio.mean()) / np.sqrt(audio.var() + floor)).astype(np.float32)


def in_stretches(
    run: Callable[[np.ndarray], np.ndarray],
    padded: Float32[np.ndarray, " samples"],
    config: StepsConfig,
) -> Float32[np.ndarray, "frames 2 width"]:
    """Steps of a whole clip (640 V + 80 samples), read in one pass or in stretches with context.

    Raises:
        ClockError: the network gave another number of steps than two a frame.
    """
    frames = (len(padded) - clock.STEP_PADDING) // clock.SAMPLES_PER_FRAME
    longest, context = round(config.longest_s * clock.FPS), round(config.context_s * clock.FPS)
    parts = []
    for stretch in stretches(frames, longest, context):
        first, past = clock.samples_of(stretch.first), clock.samples_of(stretch.past)
        steps = run(padded[first : past + clock.STEP_PADDING])
        expected = clock.steps_of(stretch.past - stretch.first)
        if len(steps) != expected:
            raise ClockError(
                f"speech network: {len(steps)} steps for {stretch.past - stretch.first} frames, "
                f"{expected} are needed; its convolutions must have a field of 400 samples and a "
                "hop of 320"
            )
        kept = slice(stretch.keep_first - stretch.first, stretch.keep_past - stretch.first)
        parts.append(paired(steps)[kept])
    return np.concatenate(parts)
