"""What a network has to beat: a face that does not move, and a straight line from sound to face."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from models.data import ClipRow, TrainingData, standard_statistics


@dataclass(frozen=True)
class MeanExpression:
    """The mean of the training frames of a tag; of all frames where the tag was not heard."""

    by_tag: dict[str, Float64[np.ndarray, " k"]]
    overall: Float64[np.ndarray, " k"]

    def predict(self, data: TrainingData, clip: ClipRow) -> Float64[np.ndarray, "frames k"]:
        """The same expression for every frame of a clip, whitened units."""
        return np.tile(self.by_tag.get(clip.emotion, self.overall), (clip.frames, 1))


def fit_mean(data: TrainingData) -> MeanExpression:
    """Means over training clips, whitened units."""
    rows: dict[str, list[np.ndarray]] = {}
    for clip in data.part("train"):
        rows.setdefault(clip.emotion, []).append(data.whitened(clip).astype(np.float64))
    by_tag = {tag: np.nanmean(np.concatenate(parts), axis=0) for tag, parts in rows.items()}
    everything = np.concatenate([part for parts in rows.values() for part in parts])
    return MeanExpression(by_tag, np.nanmean(everything, axis=0))


@dataclass(frozen=True)
class Ridge:
    """Linear regression on the same inputs the network reads, plus the tag as an offset."""

    weights: Float64[np.ndarray, "inputs k"]
    mean: Float64[np.ndarray, " channels"]
    std: Float64[np.ndarray, " channels"]
    tags: tuple[str, ...]
    context: int

    def predict(self, data: TrainingData, clip: ClipRow) -> Float64[np.ndarray, "frames k"]:
        """Expression of a clip, whitened units."""
        x = (_stacked(data, clip, self.context) - self.mean) / self.std
        return _with_tag(x, clip.emotion, self.tags) @ self.weights


def fit_ridge(data: TrainingData, context: int = 5, penalty: float = 1000.0) -> Ridge:
    """Ridge regression from `context` frames each side of audio and emotion features.

    Args:
        data: clips with splits.
        context: frames each side; 5 sees as far back as F does.
        penalty: λ of the squared weights, on standardised inputs.
    """
    clips = data.part("train")
    tags = tuple(sorted({clip.emotion for clip in clips}))
    x = np.concatenate([_stacked(data, clip, context) for clip in clips])
    y = np.concatenate([data.whitened(clip) for clip in clips]).astype(np.float64)
    mean, std = standard_statistics(x)
    x = (x - mean) / std
    x = np.concatenate(
        [
            _with_tag(part, clip.emotion, tags)
            for part, clip in zip(
                np.split(x, np.cumsum([clip.frames for clip in clips])[:-1]), clips, strict=True
            )
        ]
    )
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


def _with_tag(
    x: Float[np.ndarray, "frames channels"], tag: str, tags: tuple[str, ...]
) -> Float64[np.ndarray, "frames inputs"]:
    hot = np.array([float(tag == name) for name in tags])
    return np.concatenate([x, np.tile(hot, (len(x), 1))], axis=1)
