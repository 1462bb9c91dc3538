"""How emotion hyperplanes are fitted."""

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import ProfileError


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

    def __post_init__(self) -> None:
        """Refuse what no plane can be fitted with.

        Raises:
            ProfileError: names the setting, its value and what it may be.
        """
        rules = {
            "groups": (self.groups >= 1, "at least 1"),
            "low_quantile": (
                0 <= self.low_quantile < self.high_quantile <= 1,
                f"from 0 to below high_quantile = {self.high_quantile}, which is at most 1",
            ),
            "balance": (self.balance in ("draw", "weigh"), "'draw' or 'weigh'"),
            "within": (
                self.within is None or 0 < self.within <= 1,
                "none, or a share above 0 and at most 1",
            ),
            "max_frames": (self.max_frames >= self.groups, "at least one for each group"),
            "min_frames": (self.min_frames >= 2, "at least 2"),
            "min_groups": (1 <= self.min_groups <= self.groups, f"1 to {self.groups}, the groups"),
            "regularisation": (self.regularisation > 0, "above 0"),
            "folds": (self.folds >= 2, "at least 2"),
        }
        for name, (fits, allowed) in rules.items():
            if not fits:
                raise ProfileError(f"hyperplanes.{name} = {getattr(self, name)!r}: {allowed}")
