"""The linear SVM behind a hyperplane, and its accuracy on clips it has not seen."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int

from pipeline.hyperplane_config import HyperplaneConfig
from pipeline.mouth_groups import balanced_sample, balanced_weights, thinned


def linear_svm(
    x: Float64[np.ndarray, "frames k"],
    positive: Bool[np.ndarray, " frames"],
    c: float,
    weight: Float64[np.ndarray, " frames"] | None = None,
    metric: Float64[np.ndarray, "k k"] | None = None,
) -> tuple[Float64[np.ndarray, " k"], float]:
    """Unit normal and bias of scikit-learn's linear SVM (squared hinge, primal: deterministic).

    Args:
        x: whitened coefficients.
        positive: frames of the tag.
        c: penalty of a frame on the wrong side.
        weight: how much each frame counts; None: all the same.
        metric: the SVM sees `x @ metric`; the plane comes back in the units of `x`.
    """
    from sklearn.svm import LinearSVC

    # The solver penalises the bias like a weight; a large constant input makes that negligible.
    settings: dict[str, Any] = {"dual": False, "intercept_scaling": 10.0, "tol": 1e-6}
    machine = LinearSVC(C=c, max_iter=10_000, **settings)
    machine.fit(x if metric is None else x @ metric, positive, sample_weight=weight)
    w = np.asarray(machine.coef_, dtype=np.float64)[0]
    w = w if metric is None else metric @ w
    length = float(np.linalg.norm(w))
    return w / length, float(np.asarray(machine.intercept_)[0]) / length


def within_metric(
    x: Float64[np.ndarray, "frames k"], kind: Int[np.ndarray, " frames"], sphere: float
) -> Float64[np.ndarray, "k k"]:
    """The matrix M that makes frames of one emotion vary alike in all directions: x @ M.

    Speech moves some coefficients far in every emotion; a step along them says less of the emotion
    than the same step along others. The covariance around each emotion's mean, mixed with a share
    of `sphere` of its own mean variance, is what M undoes.
    """
    means = np.stack([x[kind == k].mean(axis=0) for k in range(kind.max() + 1)])
    rest = x - means[kind]
    covariance = rest.T @ rest / len(x)
    size = np.trace(covariance) / x.shape[1]
    if size <= 1e-12:  # every emotion is one point
        return np.eye(x.shape[1])
    mixed = (1 - sphere) * covariance + sphere * size * np.eye(x.shape[1])
    return np.linalg.inv(np.linalg.cholesky(mixed)).T


def balanced_plane(
    white: Float64[np.ndarray, "frames k"],
    positive: Bool[np.ndarray, " frames"],
    group: Int[np.ndarray, " frames"],
    kind: Int[np.ndarray, " frames"],
    config: HyperplaneConfig,
    rng: np.random.Generator,
) -> tuple[tuple[Float64[np.ndarray, " k"], float] | None, Int[np.ndarray, " groups"]]:
    """The plane of a tag, even over mouth groups, and the frames of each class by group.

    No plane where no group holds both classes.
    """
    if config.balance == "weigh":
        kept = thinned(group, kind, max(config.max_frames // config.groups, 1), rng)
        all_weights, counts = balanced_weights(
            positive[kept], group[kept], kind[kept], config.groups
        )
        rows, weight = kept[all_weights > 0], all_weights[all_weights > 0]
    else:
        limit = config.max_frames
        rows, counts = balanced_sample(positive, group, kind, config.groups, limit, rng)
        weight = None
    if not len(rows):
        return None, counts
    metric = None
    if config.within is not None:
        _, present = np.unique(kind, return_inverse=True)  # a fold may lack a tag
        metric = within_metric(white, present, config.within)
    c = config.regularisation
    return linear_svm(white[rows], positive[rows], c, weight, metric), counts


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
        plane, counts = balanced_plane(
            white[train], positive[train], group[train], kind[train], config, rng
        )
        if plane is None or counts.sum() < 2:
            continue
        w, b = plane
        said[out] = white[out] @ w + b > 0
        tested |= out
    if not (tested & positive).any() or not (tested & ~positive).any():
        return None, f"not measured: no fold of {folds} left both classes to test"
    score = balanced_accuracy(said[tested], positive[tested])
    return score, f"{folds} folds over whole clips, {int(tested.sum())} frames"
