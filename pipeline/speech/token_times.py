"""From characters to frames: which token is being spoken while a frame is shown."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32

from pipeline import clock
from pipeline.errors import ClockError
from pipeline.transcript import Word

SILENCE = -1
"""Index of a frame in which no word is spoken."""


def token_spans(
    words: Sequence[Word], pieces: Sequence[Sequence[tuple[int, int]]]
) -> list[tuple[float, float]]:
    """Seconds each token fills: its share of its word's time, by characters.

    Args:
        words: the words in order.
        pieces: per word, the (first, past-last) characters of each of its tokens.

    >>> token_spans([Word("abcd", 1.0, 2.0)], [[(0, 1), (1, 4)]])
    [(1.0, 1.25), (1.25, 2.0)]
    """
    if len(words) != len(pieces):
        raise ClockError(f"token times: {len(words)} words but tokens for {len(pieces)}")
    spans = []
    for word, offsets in zip(words, pieces, strict=True):
        letters = max((last for _, last in offsets), default=1)
        scale = (word.end - word.start) / letters
        spans += [(word.start + a * scale, word.start + b * scale) for a, b in offsets]
    return spans


def frame_tokens(spans: Sequence[tuple[float, float]], frames: int) -> Int32[np.ndarray, " frames"]:
    """Token at each frame's centre, `SILENCE` where none; where two overlap the later one wins."""
    index = np.full(frames, SILENCE, dtype=np.int32)
    for token, (start, end) in enumerate(spans):
        # Frames whose centre i/25 + 1/50 lies in [start, end): i = ceil(25 t - 1/2)
        first, past = (int(np.ceil(clock.FPS * t - 0.5)) for t in (start, end))
        index[max(first, 0) : max(past, 0)] = token
    return index
