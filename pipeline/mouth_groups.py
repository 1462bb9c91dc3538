"""Frames grouped by mouth opening, and samples that are even over the groups.

A smile closes the mouth and surprise opens it; a classifier trained on all frames would learn the
mouth. The paper (appendix B) cuts the range of the mouth aspect ratio (MAR) into five arithmetic
groups and draws evenly from them, so that speech and emotion come apart.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from pipeline.errors import InputError


def group_edges(
    mar: Float[np.ndarray, " frames"], groups: int, low: float, high: float
) -> Float64[np.ndarray, " edges"]:
    """Edges of `groups` intervals of equal width between two quantiles of the MAR.

    The paper spans minimum to maximum; one yawn then empties the upper groups, so the span is
    taken at stored quantiles. Frames beyond it belong to the outermost groups.

    Raises:
        InputError: the MAR does not vary.
    """
    start, end = np.quantile(mar.astype(np.float64), [low, high])
    if not end > start:
        raise InputError(
            f"mouth groups: the MAR is {start:.4f} at quantile {low} and {end:.4f} at {high}; "
            "five groups need clips in which the mouth moves"
        )
    return np.linspace(start, end, groups + 1)


def group_of(
    mar: Float[np.ndarray, " frames"], edges: Float64[np.ndarray, " edges"]
) -> Int[np.ndarray, " frames"]:
    """Group of each frame, 0 .. groups - 1; the outermost groups are open outwards."""
    return np.searchsorted(edges[1:-1], mar, side="right")


def evenly(total: int, available: Sequence[int]) -> list[int]:
    """Split `total` over sources as evenly as what they hold allows.

    >>> evenly(10, [2, 9, 9])
    [2, 4, 4]
    """
    taken = [0] * len(available)
    left = total
    while left > 0:
        open_ = [i for i, have in enumerate(available) if taken[i] < have]
        if not open_:
            break
        share = max(left // len(open_), 1)
        for i in open_[: left if share == 1 else len(open_)]:
            more = min(share, available[i] - taken[i], left)
            taken[i] += more
            left -= more
    return taken


def balanced_sample(
    positive: Bool[np.ndarray, " frames"],
    group: Int[np.ndarray, " frames"],
    kind: Int[np.ndarray, " frames"],
    groups: int,
    limit: int,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, " sample"], Int[np.ndarray, " groups"]]:
    """Indices of a sample even over groups and classes, and the frames of each class per group.

    In each group equally many positive and negative frames are drawn, without replacement, so the
    MAR says nothing about the class. The quota a group is the median over the groups that hold
    both classes (never above `limit` / groups): a short group gives all it has and is not filled
    from others. Negatives are spread evenly over the other tags (`kind`).
    """
    rows = [
        (np.flatnonzero(positive & (group == g)), np.flatnonzero(~positive & (group == g)))
        for g in range(groups)
    ]
    both = np.array([min(len(p), len(n)) for p, n in rows])
    if not both.any():
        return np.zeros(0, dtype=np.int64), both
    quota = min(int(np.median(both[both > 0])), max(limit // groups, 1))
    counts = np.minimum(both, quota)
    chosen = []
    for (positives, negatives), count in zip(rows, counts, strict=True):
        if count == 0:
            continue
        chosen.append(rng.choice(positives, count, replace=False))
        kinds = [negatives[kind[negatives] == k] for k in np.unique(kind[negatives])]
        shares = evenly(int(count), [len(rows_) for rows_ in kinds])
        chosen += [
            rng.choice(rows_, n, replace=False) for rows_, n in zip(kinds, shares, strict=True)
        ]
    return np.sort(np.concatenate(chosen)), counts


def balanced_weights(
    positive: Bool[np.ndarray, " frames"],
    group: Int[np.ndarray, " frames"],
    kind: Int[np.ndarray, " frames"],
    groups: int,
) -> tuple[Float64[np.ndarray, " frames"], Int[np.ndarray, " groups"]]:
    """Weights that make a sample even without leaving frames out, and the scarcer class per group.

    Groups that hold both classes get equal weight, half of it for either class; that of the
    negatives is spread evenly over the other tags (`kind`). Frames of other groups get none. The
    weights' mean over the frames that have one is 1.
    """
    weight = np.zeros(len(positive))
    counts = np.zeros(groups, dtype=np.int64)
    for g in range(groups):
        here = group == g
        ours, others = positive & here, ~positive & here
        counts[g] = min(ours.sum(), others.sum())
        if counts[g] == 0:
            continue
        weight[ours] = 1 / ours.sum()
        kinds = np.unique(kind[others])
        for k in kinds:
            rows = others & (kind == k)
            weight[rows] = 1 / len(kinds) / rows.sum()
    used = weight > 0
    if used.any():
        weight *= used.sum() / weight.sum()
    return weight, counts


def thinned(
    group: Int[np.ndarray, " frames"],
    kind: Int[np.ndarray, " frames"],
    limit: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, " kept"]:
    """Rows with at most `limit` frames of each tag in each group, drawn without replacement."""
    shuffled = rng.permutation(len(group))
    cell = group[shuffled] * (kind.max() + 1) + kind[shuffled]
    order = np.argsort(cell, kind="stable")
    _, first, size = np.unique(cell[order], return_index=True, return_counts=True)
    place = np.arange(len(cell)) - np.repeat(first, size)
    return np.sort(shuffled[order[place < limit]])
