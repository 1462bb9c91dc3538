"""The linear SVM behind a hyperplane, and its accuracy on clips it has not seen."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int

from pipeline.hyperplane_config import HyperplaneConfig
from pipeline.mouth_groups import balanced_sample


def linear_svm(
    x: Float64[np.ndarray, "frames k"], positive: Bool[np.ndarray, " frames"], c: float
) -> tuple[Float64[np.ndarray, " k"], float]:
    """Unit normal and bias of scikit-learn's linear SVM (squared hinge, primal: deterministic)."""
    from sklearn.svm import LinearSVC

    # The solver penalises the bias like a weight; a large constant input makes that negligible.
    settings: dict[str, Any] = {"dual": False, "intercept_scaling": 10.0, "tol": 1e-6}
    machine = LinearSVC(C=c, max_iter=10_000, **settings).fit(x, positive)
    w = np.asarray(machine.coef_, dtype=np.float64)[0]
    length = float(np.linalg.norm(w))
    return w / length, float(np.asarray(machine.intercept_)[0]) / length


def balanced_accuracy(
    said: Bool[np.ndarray, " frames"], positive: Bool[np.ndarray, " frames"]
) -> float:
    """Mean of the two classes' recalls: 0.5 is chance however rare the tag is."""
    return float((said[positive].mean() + (~said[~positive]).mean()) / 2)


def held_out_accuracy(
    white: Float64[np.ndarray, "frames k"],
    positive: Bool[np.ndarray, " frames"],
    group: Int[np.ndarray, " frames"],
    kind: Int[np.ndarray, " frames"],
    clip: Int[np.ndarray, " frames"],
    config: HyperplaneConfig,
    index: int,
) -> tuple[float | None, str]:
    """Balanced accuracy over frames whose clip took no part in the fit."""
    clips = np.unique(clip[positive])
    if len(clips) < 2:
        return None, f"not measured: {len(clips)} clip of the tag, holding out needs 2"
    folds = min(config.folds, len(clips))
    fold_of = np.zeros(clip.max() + 1, dtype=np.int64)
    rng = np.random.default_rng([config.seed, index, 1])
    for tag_kind in np.unique(kind):  # each tag's clips go round the folds
        mine = rng.permutation(np.unique(clip[kind == tag_kind]))
        fold_of[mine] = (np.arange(len(mine)) + rng.integers(folds)) % folds
    said = np.zeros(len(white), dtype=bool)
    tested = np.zeros(len(white), dtype=bool)
    for fold in range(folds):
        out = fold_of[clip] == fold
        train = np.flatnonzero(~out)
        rows, counts = balanced_sample(
            positive[train], group[train], kind[train], config.groups, config.max_frames, rng
        )
        if counts.sum() < 2:
            continue
        w, b = linear_svm(white[train[rows]], positive[train[rows]], config.regularisation)
        said[out] = white[out] @ w + b > 0
        tested |= out
    if not (tested & positive).any() or not (tested & ~positive).any():
        return None, f"not measured: no fold of {folds} left both classes to test"
    score = balanced_accuracy(said[tested], positive[tested])
    return score, f"{folds} folds over whole clips, {int(tested.sum())} frames"
