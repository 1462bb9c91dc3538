"""What an encoder promises: a named array on the frame axis."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.errors import ClockError, ProfileError


@dataclass(frozen=True)
class FeatureSpec:
    """One feature: its name, what one frame of it looks like, and what "absent" looks like."""

    name: str
    """`group/what`, e.g. `audio/logmel`; also its place in the store."""
    shape: tuple[int, ...]
    """Shape of one frame; the stored array is (frames, *shape)."""
    dtype: str
    """numpy dtype name."""
    fill: float | int
    """Value of an unwritten frame; never a value an encoder writes (NaN, 255, -2)."""
    kind: Literal["frames", "token_index"] = "frames"
    """`token_index`: one integer a frame into a token table [n_tokens, token_dim]."""
    codec: Literal["array", "image", "labels"] = "array"
    """How the store packs it: numbers, RGB pictures, or label pictures."""
    token_dim: int | None = None
    """Width of the token table, for `token_index` only."""

    def __post_init__(self) -> None:
        """Hold the parts against each other."""
        np.dtype(self.dtype)
        if (self.kind == "token_index") != (self.token_dim is not None):
            raise ProfileError(
                f"{self.name}: kind {self.kind!r} with token_dim {self.token_dim}; "
                "exactly the features of kind 'token_index' carry a token_dim"
            )

    def check(self, array: np.ndarray, frames: int) -> np.ndarray:
        """Return `array` if it is this feature for a clip of `frames` frames.

        Raises:
            ClockError: another length, shape or dtype; both sides are named.
        """
        expected = (frames, *self.shape)
        if array.shape != expected or array.dtype != np.dtype(self.dtype):
            raise ClockError(
                f"{self.name}: got {array.dtype} {list(array.shape)}, "
                f"expected {self.dtype} {list(expected)}"
            )
        return array


TOKENS = "#tokens"
"""Suffix under which a token encoder returns its table: `text/minilm#tokens`."""
