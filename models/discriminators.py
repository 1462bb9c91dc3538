"""Two discriminators of expression tracks (EMOdiffhead): is this frame, is this motion, recorded?

Both know the label, by a projection (Miyato and Koyama, arXiv 1802.05637); hinge loss. A window
whose label is not known has a projection of its own: taken for neutral, the zero label, everybody's
unlabelled smile would teach them that a neutral face smiles. Which
discriminators the paper has is not known to us: this choice is ours (docs/decisions/0021).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional


class Discriminators(nn.Module):
    """A score a frame, and a score a stretch of frames; above 0 means recorded."""

    def __init__(self, k: int, labels: int, width: int = 64) -> None:
        """Make the weights.

        Args:
            k: coefficients.
            labels: channels of the label.
            width: hidden channels.
        """
        super().__init__()
        self.frame = nn.Sequential(
            nn.Linear(k, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2)
        )
        self.sequence = nn.Sequential(
            nn.Conv1d(k, width, 5, padding=2), nn.LeakyReLU(0.2),
            nn.Conv1d(width, width, 5, stride=2, padding=2), nn.LeakyReLU(0.2),
            nn.Conv1d(width, width, 5, stride=2, padding=2), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.of_frame, self.of_sequence = nn.Linear(width, 1), nn.Linear(width, 1)
        self.frame_label = nn.Linear(labels, width, bias=False)
        self.sequence_label = nn.Linear(labels, width, bias=False)
        self.frame_unknown = nn.Parameter(torch.zeros(width))
        self.sequence_unknown = nn.Parameter(torch.zeros(width))

    def forward(
        self,
        alpha: Float[Tensor, "batch frames k"],
        label: Float[Tensor, "batch frames labels"],
        known: Bool[Tensor, " batch"],
    ) -> tuple[Float[Tensor, "batch frames"], Float[Tensor, "batch stretches"]]:
        """Scores of frames, and of stretches of four frames each seen with their neighbourhood."""
        told = known[:, None, None]
        x = self.frame(alpha)
        along = torch.where(told, self.frame_label(label), self.frame_unknown)
        frames = self.of_frame(x)[..., 0] + (x * along).sum(dim=-1)
        y = self.sequence(alpha.transpose(1, 2)).transpose(1, 2)
        slow = functional.adaptive_avg_pool1d(label.transpose(1, 2), y.shape[1]).transpose(1, 2)
        along = torch.where(told, self.sequence_label(slow), self.sequence_unknown)
        stretches = self.of_sequence(y)[..., 0] + (y * along).sum(dim=-1)
        return frames, stretches


def judge_loss(
    judges: Discriminators,
    real: Float[Tensor, "batch frames k"],
    fake: Float[Tensor, "batch frames k"],
    label: Float[Tensor, "batch frames labels"],
    known: Bool[Tensor, " batch"],
    whole: Bool[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Hinge loss of the discriminators over windows that are `whole`: a face in every frame.

    `known`: whose label is.
    """
    if not whole.any():
        return real.new_zeros(())
    real, fake = real[whole], fake[whole].detach()
    label, known = label[whole], known[whole]
    return sum(
        (functional.relu(1 - r).mean() + functional.relu(1 + f).mean()
         for r, f in zip(judges(real, label, known), judges(fake, label, known), strict=True)),
        start=real.new_zeros(()),
    )  # fmt: skip


def fooling_loss(
    judges: Discriminators,
    fake: Float[Tensor, "batch frames k"],
    label: Float[Tensor, "batch frames labels"],
    known: Bool[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """What the generator adds to its loss: minus the mean score of both."""
    frames, stretches = judges(fake, label, known)
    return -(frames.mean() + stretches.mean())
