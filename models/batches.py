"""What one optimiser step eats: inputs, targets and normals of drawn windows, as tensors."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from models.config import TrainConfig
from models.data import TrainingData, normal_of, whitening_of
from models.windows import Draw, Inputs, Standardiser, WindowSampler, finite_frames, gather


@dataclass(frozen=True)
class Batch:
    """Tensors of one step, on the training device."""

    inputs: Inputs
    normal: Float[Tensor, "batch frames k"]
    """w_z of each frame, whitened units."""
    own: Float[Tensor, "batch frames k"]
    """α^A in the units of the loss; zeros where no face was found."""
    own_known: Bool[Tensor, "batch frames"]
    other: Float[Tensor, "batch frames k"]
    """α^¬A in the units of the loss; zeros where there is no partner, or no face."""
    other_known: Bool[Tensor, "batch frames"]
    scale: Float[Tensor, "batch 1 k"]
    offset: Float[Tensor, "batch 1 k"]
    """Whitened output · scale + offset is in the units of the loss."""


class Batches:
    """Batches as a function of the step alone: what the sampler draws, gathered from memory."""

    def __init__(self, data: TrainingData, config: TrainConfig, standard: Standardiser) -> None:
        """Index the training clips; targets of all of them are brought to the loss's units once.

        Raises:
            TrainingDataError: no training clip holds a window, or a clip's whitening is absent.
        """
        sampler = WindowSampler(data.part("train"), config.window, config.batch, config.seed)
        self.sampler = sampler
        self._features, self._standard = data.features, standard
        self._network = config.network(data.widths, data.k)
        self._text_dropout = config.text_dropout
        self._device = torch.device(config.device)
        self._targets, scale, offset, normals = [], [], [], []
        for clip in sampler.clips:
            whitening = whitening_of(data.planes, clip.identity)
            white = data.whitened(clip).astype(np.float32)
            if config.loss_units == "raw":
                white = whitening.unwhiten(white)
                scale.append(whitening.std)
                offset.append(whitening.mean)
            else:
                scale.append(np.ones(data.k))
                offset.append(np.zeros(data.k))
            self._targets.append(white)
            normals.append(normal_of(data.planes, clip.identity, clip.emotion, config.planes))
        self._scale = np.stack(scale).astype(np.float32)[:, None]
        self._offset = np.stack(offset).astype(np.float32)[:, None]
        self._normals = np.stack(normals)
        self._first = np.array([clip.first for clip in sampler.clips])
        self._end = self._first + np.array([clip.frames for clip in sampler.clips])

    def of(self, step: int) -> Batch:
        """The batch of a step."""
        draw = self.sampler.draw(step)
        own, own_known = finite_frames(self._rows(draw.clip, draw.start))
        other, other_known = finite_frames(self._rows(draw.other, draw.other_start))
        normal = np.repeat(self._normals[draw.clip][:, None], self.sampler.window, axis=1)

        def here(tensor: Tensor) -> Tensor:
            return tensor.to(self._device)

        return Batch(
            self._inputs(draw), here(torch.from_numpy(normal)), here(own), here(own_known),
            here(other), here(other_known), here(torch.from_numpy(self._scale[draw.clip])),
            here(torch.from_numpy(self._offset[draw.clip])),
        )  # fmt: skip

    def _rows(self, clips: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Targets of windows; unknown where the clip is -1 (no partner)."""
        window, k = self.sampler.window, self._scale.shape[2]
        rows = np.full((len(clips), window, k), np.nan, dtype=np.float32)
        for i in np.flatnonzero(clips >= 0):
            rows[i] = self._targets[clips[i]][starts[i] : starts[i] + window]
        return rows

    def _inputs(self, draw: Draw) -> Inputs:
        first, end = self._first[draw.clip], self._end[draw.clip]
        inputs = gather(
            self._features, first + draw.start, first, end, self.sampler.window,
            self._network, self._standard,
        )  # fmt: skip
        heard = torch.from_numpy(draw.lots >= self._text_dropout).to(self._device)
        words = replace(inputs.text, tokens=inputs.text.tokens * heard[:, None, None])
        return replace(inputs, text=words)
