"""How emotion hyperplanes are fitted."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class HyperplaneConfig:
    """How planes are fitted; recorded with them."""

    groups: int = 5
    """Groups of equal width over the mouth aspect ratio (paper: 5)."""
    low_quantile: float = 0.01
    """MAR quantile where the first group starts (paper: the minimum, 0)."""
    high_quantile: float = 0.99
    """MAR quantile where the last group ends (paper: the maximum, 1)."""
    balance: Literal["draw", "weigh"] = "draw"
    """How groups and classes are made even: `draw` draws equally many frames (paper); `weigh` uses
    every frame, with the weight that drawing gives it on average."""
    within: float | None = None
    """Distance as the SVM measures it. None: in whitened units. Else by the covariance within
    emotions, mixed with this share of a sphere: better for the person it is fitted on, worse for
    others (docs/benchmarks.md)."""
    max_frames: int = 4000
    """Most frames of one class that are drawn; weighed are at most a fifth (one over `groups`) of
    it of each tag in each group."""
    min_frames: int = 25
    """Fewest frames of a class that make a plane: one second after balancing."""
    min_groups: int = 2
    """Fewest groups that must hold both classes, or mouth opening stands for emotion."""
    regularisation: float = 1.0
    """C of the SVM: the penalty of a frame on the wrong side."""
    folds: int = 5
    """Folds of the held-out estimate; whole clips are held out, never single frames."""
    seed: int = 0
    """Seed of the sampling and of the folds."""
