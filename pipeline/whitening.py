"""Coefficients brought to zero mean and unit variance, with statistics that are kept.

The store holds coefficients as their extractor gives them. Their dimensions differ in scale by a
factor of ten, and two people's by an offset; hyperplanes, tau and RMSE depend on that unit. Each
identity is therefore whitened by its own stored statistics: what remains is expression.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from pipeline.errors import InputError


@dataclass(frozen=True)
class Whitening:
    """Mean and standard deviation per coefficient: whitened = (raw - mean) / std."""

    mean: Float64[np.ndarray, " k"]
    std: Float64[np.ndarray, " k"]
    """All positive."""

    def __post_init__(self) -> None:
        """Refuse statistics that no data have."""
        if self.mean.shape != self.std.shape:
            raise InputError(
                f"whitening: mean of {len(self.mean)} coefficients, std of {len(self.std)}"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all()):
            raise InputError(f"whitening: statistics must be finite, got {self.mean}, {self.std}")
        if (self.std <= 0).any():
            at = int(np.argmax(self.std <= 0))
            raise InputError(f"whitening: std of coefficient {at} is {self.std[at]}, not positive")

    @property
    def k(self) -> int:
        """Number of coefficients."""
        return len(self.mean)

    def whiten(self, raw: Float[np.ndarray, "*frames k"]) -> Float[np.ndarray, "*frames k"]:
        """Raw to whitened; NaN stays NaN; float32 stays float32."""
        return ((raw - self.mean) / self.std).astype(raw.dtype)

    def unwhiten(self, white: Float[np.ndarray, "*frames k"]) -> Float[np.ndarray, "*frames k"]:
        """Whitened to raw."""
        return (white * self.std + self.mean).astype(white.dtype)

    @classmethod
    def unit(cls, k: int) -> "Whitening":
        """The whitening that changes nothing: for values that are whitened already."""
        return cls(np.zeros(k), np.ones(k))


def fit_whitening(
    raw: Float[np.ndarray, "frames k"], names: tuple[str, ...] | None = None
) -> Whitening:
    """Statistics of the finite rows.

    Raises:
        InputError: fewer than two finite rows, or a coefficient that never moves (named).
    """
    rows = raw[np.isfinite(raw).all(axis=1)].astype(np.float64)
    if len(rows) < 2:
        raise InputError(
            f"whitening needs 2 frames with finite coefficients, found {len(rows)} of {len(raw)}; "
            "add clips in which a face is found"
        )
    std = rows.std(axis=0)
    still = np.flatnonzero(std <= 1e-12 * np.maximum(1.0, np.abs(rows).max(axis=0)))
    if len(still):
        which = ", ".join(names[i] if names else str(i) for i in still)
        raise InputError(
            f"whitening: coefficient {which} is the same in all {len(rows)} frames; "
            "add clips in which it moves, or leave it out"
        )
    return Whitening(rows.mean(axis=0), std)
