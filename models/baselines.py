"""What a network has to beat: a face that does not move, and a straight line from sound to face."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from models.data import ClipRow, TrainingData, standard_statistics


@dataclass(frozen=True)
class MeanExpression:
    """One face for every frame: the mean of the training frames, or of those of the clip's tag."""

    by_tag: dict[str, Float64[np.ndarray, " k"]]
    """Empty: the tag is not looked at."""
    overall: Float64[np.ndarray, " k"]

    def predict(self, data: TrainingData, clip: ClipRow) -> Float64[np.ndarray, "frames k"]:
        """The same expression for every frame of a clip, whitened units."""
        return np.tile(self.by_tag.get(clip.emotion, self.overall), (clip.frames, 1))


def fit_mean(data: TrainingData, tag: bool = False) -> MeanExpression:
    """Means over training clips, whitened units."""
    rows: dict[str, list[np.ndarray]] = {}
    for clip in data.part("train"):
        rows.setdefault(clip.emotion, []).append(data.whitened(clip).astype(np.float64))
    by_tag = {name: np.nanmean(np.concatenate(parts), axis=0) for name, parts in rows.items()}
    everything = np.concatenate([part for parts in rows.values() for part in parts])
    return MeanExpression(by_tag if tag else {}, np.nanmean(everything, axis=0))


@dataclass(frozen=True)
class Ridge:
    """Linear regression on the same features the network reads."""

    weights: Float64[np.ndarray, "inputs k"]
    mean: Float64[np.ndarray, " channels"]
    std: Float64[np.ndarray, " channels"]
    tags: tuple[str, ...]
    """Tags that shift the prediction; empty: the tag is not looked at."""
    context: int

    def predict(self, data: TrainingData, clip: ClipRow) -> Float64[np.ndarray, "frames k"]:
        """Expression of a clip, whitened units."""
        x = (_stacked(data, clip, self.context) - self.mean) / self.std
        return _with_offset(x, clip.emotion, self.tags) @ self.weights


def fit_ridge(
    data: TrainingData, context: int = 0, penalty: float = 300.0, tag: bool = False
) -> Ridge:
    """Ridge regression from audio and emotion features.

    Args:
        data: clips with splits.
        context: frames each side that are read too.
        penalty: λ of the squared weights, on standardised inputs.
        tag: give it the emotion as well, which the network only meets in w_z.
    """
    clips = data.part("train")
    tags = tuple(sorted({clip.emotion for clip in clips})) if tag else ()
    parts = [_stacked(data, clip, context) for clip in clips]
    mean, std = standard_statistics(np.concatenate(parts))
    x = np.concatenate(
        [
            _with_offset((part - mean) / std, clip.emotion, tags)
            for part, clip in zip(parts, clips, strict=True)
        ]
    )
    y = np.concatenate([data.whitened(clip) for clip in clips]).astype(np.float64)
    known = np.isfinite(y).all(axis=1)
    x, y = x[known], y[known]
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += np.where(np.arange(len(gram)) < len(mean), penalty, 1e-3)
    return Ridge(np.linalg.solve(gram, x.T @ y), mean, std, tags, context)


def _stacked(
    data: TrainingData, clip: ClipRow, context: int
) -> Float64[np.ndarray, "frames channels"]:
    f = data.clip_features(clip)
    both = np.concatenate([f.audio, f.emotion], axis=1).astype(np.float64)
    rows = np.arange(clip.frames)[:, None] + np.arange(-context, context + 1)
    return both[rows.clip(0, clip.frames - 1)].reshape(clip.frames, -1)


def _with_offset(
    x: Float[np.ndarray, "frames channels"], tag: str, tags: tuple[str, ...]
) -> Float64[np.ndarray, "frames inputs"]:
    """Inputs with a constant column, and one per tag that is 1 for the clip's own."""
    hot = np.array([1.0, *(float(tag == name) for name in tags)])
    return np.concatenate([x, np.tile(hot, (len(x), 1))], axis=1)
