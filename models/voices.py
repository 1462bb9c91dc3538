"""Which emotion a voice carries, by the nearest mean of the training clips: enough to see that a
label contradicts it.

The rule where they do: the label is shown, the voice's emotion is not read, and it is logged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from models.data import SpeechFeatures, TrainingData, standard_statistics

SURE = 0.7
"""Posterior from which on the voice counts as having said its emotion."""


@dataclass(frozen=True)
class Voices:
    """Mean emotion feature of a clip, a tag; Gaussians of one spread."""

    means: Mapping[str, Float64[np.ndarray, " width"]]
    spread: Float64[np.ndarray, " width"]
    """Deviation of clips round their tag's mean."""

    def posterior(self, emotion: Float[np.ndarray, "frames width"]) -> dict[str, float]:
        """Probability of each tag for a stretch of sound; empty where no tag is known."""
        if not self.means:
            return {}
        tags = sorted(self.means)
        middle = emotion.mean(axis=0, dtype=np.float64)
        apart = np.stack([(middle - self.means[tag]) / self.spread for tag in tags])
        # Channels are correlated: their sum counts as much as their mean on one channel would.
        score = -0.5 * np.square(apart).mean(axis=1) * np.sqrt(apart.shape[1])
        weights = np.exp(score - score.max())
        return dict(zip(tags, (weights / weights.sum()).tolist(), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form, for checkpoints."""
        return {
            "means": {tag: mean.tolist() for tag, mean in self.means.items()},
            "spread": self.spread.tolist(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Voices":
        """Undo `to_dict`."""
        means = {tag: np.array(mean) for tag, mean in values["means"].items()}
        return cls(means, np.array(values["spread"]))


def fit_voices(data: TrainingData) -> Voices:
    """Means and spread over training clips with a tag."""
    rows: dict[str, list[np.ndarray]] = {}
    for clip in data.part("train"):
        if clip.emotion:
            heard = data.clip_features(clip).emotion.mean(axis=0, dtype=np.float64)
            rows.setdefault(clip.emotion, []).append(heard)
    means = {tag: np.mean(each, axis=0) for tag, each in rows.items()}
    width = data.features.emotion.shape[1]
    around = [row - means[tag] for tag, each in rows.items() for row in each]
    _, spread = standard_statistics(np.array(around).reshape(-1, width))
    return Voices(means, spread)


def contradiction(voices: Voices, features: SpeechFeatures, label: str) -> str | None:
    """What to log where a voice surely carries another emotion than the label; None: it does not.

    A tag that no voice of the training clips carried contradicts nothing.
    """
    posterior = voices.posterior(features.emotion)
    if label not in posterior:
        return None
    heard = max(posterior, key=lambda tag: posterior[tag])
    if heard == label or posterior[heard] < SURE:
        return None
    return (
        f"the voice sounds {heard} (probability {posterior[heard]:.2f}), {label} is asked for: "
        f"{label} is shown, the voice's emotion is not read"
    )
