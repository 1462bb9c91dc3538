"""Adam over the flat parameter vector on a device: the rules of `render.kernels.adam`."""

import torch
from jaxtyping import Float
from torch import Tensor

from render.head_config import HeadConfig
from render.torch_field import TorchField

BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-15


class FlatAdam:
    """Moments, running mean, and a rate and decay for every value."""

    def __init__(self, field: TorchField, config: HeadConfig) -> None:
        """Moments zero; the mean starts as the parameters."""
        self.field = field
        theta = field.theta
        self.first, self.second = torch.zeros_like(theta), torch.zeros_like(theta)
        self.ema = theta.clone()
        rates = {
            "grid": config.grid_rate,
            "expression": config.expression_rate,
            "matrices": config.net_rate,
            "codes": config.code_rate,
        }
        decays = {
            "matrices": config.net_decay,
            "expression": config.expression_decay,
            "codes": config.code_decay,
        }
        self.rate, self.decay = torch.zeros_like(theta), torch.zeros_like(theta)
        self.sparse = torch.zeros_like(theta, dtype=torch.bool)
        for name, (begin, end) in field.segments.items():
            group = name.split(".")[0]
            self.rate[begin:end] = rates[group]
            self.decay[begin:end] = decays.get(group, 0.0)
            self.sparse[begin:end] = name == "grid.params"

    @torch.no_grad()
    def step(
        self, number: Float[Tensor, ""], fade: Float[Tensor, ""], ema_decay: Float[Tensor, ""]
    ) -> None:
        """Step `number` (from 1) with the field's gradients, which are left zero.

        A parameter of the hash table without gradient is not touched (tiny-cuda-nn's rule: an entry
        no point fell on has nothing to learn). Numbers lie on the device: nothing waits.
        """
        g, theta = self.field.grad, self.field.theta
        on = (g != 0) | ~self.sparse
        self.first.copy_(torch.where(on, self.first + (1 - BETA1) * (g - self.first), self.first))
        moved = self.second + (1 - BETA2) * (g * g - self.second)
        self.second.copy_(torch.where(on, moved, self.second))
        rate = self.rate * fade
        root = torch.sqrt(self.second) / torch.sqrt(1 - BETA2**number)
        change = rate * self.decay * theta + rate / (1 - BETA1**number) * self.first / (
            root + EPSILON
        )
        theta.sub_(torch.where(on, change, 0.0))
        self.ema.lerp_(theta, 1 - ema_decay)
        g.zero_()
