"""What a network is asked to show: the label of every frame, and which sources it may read."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Asked:
    """Emotion asked for in each window."""

    label: Float[Tensor, "batch frames labels"]
    """Weights, see `models.labels`; zeros where unknown."""
    known: Bool[Tensor, "batch three"]
    """Whether label, voice and words may be read (`models.experts.latents.SOURCES`)."""

    @classmethod
    def nothing(cls, batch: int, frames: int, labels: int, device: torch.device) -> "Asked":
        """No label: voice and words decide."""
        known = torch.tensor([[False, True, True]], device=device).expand(batch, 3)
        return cls(torch.zeros(batch, frames, labels, device=device), known)
