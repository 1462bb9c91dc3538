"""Exponential moving average of the weights, or none: PyTorch's own, with a state to resume."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.checkpoint import AudioExpressionModel

PREFIX = "average/"
"""Of its tensors in a checkpoint."""


class Average:
    """After step s the average is decay · (average after s - 1) + (1 - decay) · weights.

    It starts as the weights after the first step.
    """

    def __init__(self, model: AudioExpressionModel, decay: float) -> None:
        """Average `model`; decay 0: keep none, the model stands for itself."""
        self._averaged = (
            AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None
        )

    def update(self, model: AudioExpressionModel) -> None:
        """Take in the weights after a step."""
        if self._averaged is not None:
            self._averaged.update_parameters(model)

    def of(self, model: AudioExpressionModel) -> AudioExpressionModel:
        """The averaged model, or `model` where none is kept."""
        if self._averaged is None:
            return model
        module = self._averaged.module
        if not isinstance(module, AudioExpressionModel):  # for the type checker
            raise TypeError(f"averaged a {type(module)}")
        return module

    def state(self) -> dict[str, Tensor]:
        """Tensors that bring the average back."""
        if self._averaged is None:
            return {}
        return {f"{PREFIX}{n}": v for n, v in self._averaged.state_dict().items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Undo `state`."""
        if self._averaged is not None:
            own = {n.removeprefix(PREFIX): v for n, v in tensors.items() if n.startswith(PREFIX)}
            with torch.no_grad():
                self._averaged.load_state_dict(own)
