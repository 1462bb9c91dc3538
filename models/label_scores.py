"""Whether a label works as a dial: more intensity, deeper; a mix, between its parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.stats import spearmanr

from models.checkpoint import Checkpoint
from models.data import ClipRow, TrainingData, merged_planes
from models.labels import NEUTRAL, label_vector
from models.speech import by_label

INTENSITIES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Dial:
    """Figures over all clips and tags that were asked."""

    monotone: float
    """Least Spearman correlation, over clips and tags, of intensity and mean margin."""
    monotone_mean: float
    between: float
    """Share of (clip, pair of tags) whose even mix has, at both tags' hyperplanes, a mean margin
    between those of its parts; NaN with fewer than two tags."""
    pairs: int
    """How many there were."""


def dial_scores(checkpoint: Checkpoint, data: TrainingData, clips: Sequence[ClipRow]) -> Dial:
    """Ask every clip for every tag its identity has a hyperplane of, and for every even mix of two.

    Raises:
        EmotionError: a hyperplane of a tag that the network has no label for.
    """
    rank, inside = [], []
    for clip in clips:
        planes = merged_planes(data.planes, clip.identity, checkpoint.train.planes).planes
        tags = [tag for tag in planes if tag != NEUTRAL]
        vectors = {tag: label_vector(tag, checkpoint.model.config.labels) for tag in tags}
        normals = np.stack([planes[tag].w for tag in tags]) if tags else np.zeros((0, data.k))

        def margins(label: np.ndarray, clip: ClipRow = clip, w: np.ndarray = normals):
            return mean_margins(checkpoint, data, clip, label, w)

        full = {tag: margins(vectors[tag]) for tag in tags}
        for i, tag in enumerate(tags):
            depth = [margins(vectors[tag] * np.float32(x))[i] for x in INTENSITIES]
            rank.append(rank_correlation(INTENSITIES, depth))
        for (i, a), (j, b) in combinations(enumerate(tags), 2):
            mix = margins((vectors[a] + vectors[b]) / 2)
            inside.append(
                all(
                    min(full[a][z], full[b][z]) < mix[z] < max(full[a][z], full[b][z])
                    for z in (i, j)
                )
            )
    return Dial(
        float(np.min(rank, initial=np.inf)) if rank else float("nan"),
        float(np.mean(rank)) if rank else float("nan"),
        float(np.mean(inside)) if inside else float("nan"),
        len(inside),
    )


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's ρ; NaN where y never changes: a network that does not read the label."""
    if np.ptp(y) == 0:
        return float("nan")
    result: Any = spearmanr(x, y)
    return float(result.statistic)


def mean_margins(
    checkpoint: Checkpoint,
    data: TrainingData,
    clip: ClipRow,
    label: np.ndarray,
    normals: Float64[np.ndarray, "tags k"],
) -> Float64[np.ndarray, " tags"]:
    """Mean over the clip's frames of α̂ · w, for one label held throughout."""
    labels = np.tile(label.astype(np.float32), (clip.frames, 1))
    alpha = by_label(checkpoint, data.clip_features(clip), labels)[0].alpha_hat
    return alpha.mean(axis=0, dtype=np.float64) @ normals.T
