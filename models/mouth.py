"""How far a set of coefficients opens the mouth: a straight line through an identity's frames."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from models.data import TrainingData

ENOUGH = 0.5
"""Share of the mouth's variance that the line must explain to be used."""


@dataclass(frozen=True)
class MouthOpening:
    """Mouth aspect ratio ≈ weights · α + offset, α in the identity's whitened units."""

    weights: Float64[np.ndarray, " k"]
    offset: float
    explained: float
    """Share of the variance over the training frames (R²)."""
    deviation: float
    """Standard deviation of the recorded ratio over the training frames."""

    @property
    def direction(self) -> Float64[np.ndarray, " k"]:
        """Unit vector along which the mouth opens fastest."""
        return self.weights / np.linalg.norm(self.weights)

    def of(self, alpha: Float[np.ndarray, "frames k"]) -> Float64[np.ndarray, " frames"]:
        """Aspect ratio of each frame."""
        return alpha.astype(np.float64) @ self.weights + self.offset

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form, for checkpoints."""
        return {
            "weights": self.weights.tolist(),
            "offset": self.offset,
            "explained": self.explained,
            "deviation": self.deviation,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "MouthOpening":
        """Undo `to_dict`."""
        return cls(**{**values, "weights": np.array(values["weights"], dtype=np.float64)})


def fit_mouths(data: TrainingData) -> dict[str, MouthOpening]:
    """The line of every identity whose mouth moves with its coefficients, from training clips.

    Identities without mouth aspect ratios, or with R² of `ENOUGH` or less, are left out.
    """
    if data.mouth is None:
        return {}
    found = {}
    train = data.part("train")
    for identity in sorted({clip.identity for clip in train}):
        clips = [clip for clip in train if clip.identity == identity]
        x = np.concatenate([data.whitened(clip) for clip in clips]).astype(np.float64)
        y = np.concatenate([data.mouth[c.first : c.first + c.frames] for c in clips])
        known = np.isfinite(x).all(axis=1) & np.isfinite(y)
        x, y = np.column_stack([x, np.ones(len(x))])[known], y[known].astype(np.float64)
        if len(y) <= x.shape[1] or y.std() == 0:
            continue
        weights, *_ = np.linalg.lstsq(x, y, rcond=None)
        explained = 1 - float(np.square(y - x @ weights).mean() / y.var())
        if explained > ENOUGH:
            found[identity] = MouthOpening(
                weights[:-1], float(weights[-1]), explained, float(y.std())
            )
    return found
