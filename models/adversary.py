"""The discriminators' half of adversarial training, with a state to resume."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from models.batches import Batch
from models.config import TrainConfig
from models.discriminators import Discriminators, fooling_loss, judge_loss

PREFIX = "adversary/"
"""Of its tensors in a checkpoint."""

BETAS = (0.5, 0.9)
"""Adam's, of the discriminators: a shorter memory than the generator's, whose output moves."""


class Adversary:
    """Discriminators and their optimiser; does nothing where `config.adversarial` is 0."""

    def __init__(self, config: TrainConfig, k: int) -> None:
        """Make fresh discriminators."""
        self.weight = config.adversarial
        if not self.weight:
            return
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed + 1)
            self.judges = Discriminators(k, len(config.labels)).to(config.device)
        self._optimiser = torch.optim.Adam(
            self.judges.parameters(), lr=config.learning_rate, betas=BETAS
        )

    def loss(self, alpha_hat: Float[Tensor, "batch frames k"], batch: Batch) -> Float[Tensor, ""]:
        """What the generator adds to its loss."""
        if not self.weight:
            return alpha_hat.new_zeros(())
        asked = batch.asked
        return self.weight * fooling_loss(self.judges, alpha_hat, asked.label, asked.known[:, 0])

    def learn(self, alpha_hat: Float[Tensor, "batch frames k"], batch: Batch) -> float:
        """One step of the discriminators; returns their loss."""
        if not self.weight:
            return 0.0
        whole = batch.own_known.all(dim=1)
        if not whole.any():
            return 0.0
        asked = batch.asked
        loss = judge_loss(
            self.judges, batch.own, alpha_hat.detach(), asked.label, asked.known[:, 0], whole
        )
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()
        return loss.item()

    def state(self) -> dict[str, Tensor]:
        """Tensors that bring discriminators and moments back."""
        if not self.weight:
            return {}
        found = {f"{PREFIX}{n}": v for n, v in self.judges.state_dict().items()}
        for name, parameter in self.judges.named_parameters():
            for key, value in self._optimiser.state[parameter].items():
                found[f"{PREFIX}{name}/{key}"] = value
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Undo `state`."""
        if not self.weight:
            return
        own = {n.removeprefix(PREFIX): v for n, v in tensors.items() if n.startswith(PREFIX)}
        self.judges.load_state_dict({n: v for n, v in own.items() if "/" not in n})
        for name, parameter in self.judges.named_parameters():
            self._optimiser.state[parameter] = {
                n.partition("/")[2]: v.clone() for n, v in own.items() if n.startswith(f"{name}/")
            }
