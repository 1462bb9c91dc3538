"""From a CTC network's frames to tokens and their times."""

from itertools import groupby

import numpy as np
from jaxtyping import Float

BLANK = 0
Run = tuple[int, int, int]
"""(token, first frame, past its last frame)."""


def greedy(scores: Float[np.ndarray, "frames tokens"], blank: int = BLANK) -> list[Run]:
    """Tokens of the best path: equal neighbours are one token, blanks separate (Graves 2006).

    >>> greedy(np.eye(3)[[0, 1, 1, 0, 1, 2]])
    [(1, 1, 3), (1, 4, 5), (2, 5, 6)]
    """
    runs, at = [], 0
    for token, frames in groupby(scores.argmax(axis=1).tolist()):
        length = len(list(frames))
        if token != blank:
            runs.append((token, at, at + length))
        at += length
    return runs


def align(
    scores: Float[np.ndarray, "frames tokens"], tokens: list[int], blank: int = BLANK
) -> list[Run] | None:
    """Best path that spells given tokens (Viterbi); None where there are too few frames for them.

    Args:
        scores: log probabilities.
        tokens: what is said, without blanks.
        blank: the token that separates.
    """
    if not tokens:
        return []
    states = [blank, *(s for token in tokens for s in (token, blank))]
    here = np.array(states)
    # A blank between two tokens may be left out, unless they are the same token.
    skips = np.zeros(len(states), bool)
    skips[2:] = (here[2:] != blank) & (here[2:] != here[:-2])
    best = np.full(len(states), -np.inf)
    best[:2] = scores[0, here[:2]]
    came = np.zeros((len(scores), len(states)), np.int8)
    for t in range(1, len(scores)):
        one = np.concatenate([[-np.inf], best[:-1]])
        two = np.where(skips, np.concatenate([[-np.inf] * 2, best[:-2]]), -np.inf)
        choices = np.stack([best, one, two])
        came[t] = choices.argmax(axis=0)
        best = choices.max(axis=0) + scores[t, here]
    state = len(states) - 1 if best[-1] >= best[-2] else len(states) - 2
    if not np.isfinite(best[state]):
        return None
    path = [state]
    for t in range(len(scores) - 1, 0, -1):
        state -= int(came[t, state])
        path.append(state)
    runs, at = [], 0
    for state, frames in groupby(reversed(path)):
        length = len(list(frames))
        if state % 2:
            runs.append((states[state], at, at + length))
        at += length
    return runs
