"""What one optimiser step eats: inputs, targets and normals of drawn windows, as tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from models.asked import Asked
from models.config import TrainConfig
from models.data import TrainingData, normal_of, whitening_of
from models.emotion_free import learnt_from
from models.errors import TrainingDataError
from models.mouth import MouthOpening
from models.noisy import (
    NoisyDraw,
    NoisySampler,
    mixed_labels,
    mixed_targets,
    mouth_directions,
)
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
    asked: Asked
    """The label, and which sources may be read."""


class Batches:
    """Batches as a function of the step alone: what the sampler draws, gathered from memory."""

    def __init__(
        self,
        data: TrainingData,
        config: TrainConfig,
        standard: Standardiser,
        mouths: Mapping[str, MouthOpening] | None = None,
    ) -> None:
        """Index the training clips; targets of all of them are brought to the loss's units once.

        Raises:
            TrainingDataError: no training clip holds a window, a clip's whitening is absent, or a
                clip's emotion is none of the network's labels.
        """
        clips = learnt_from(data, config.emotion_free)
        sampler = WindowSampler(clips, config.window, config.batch, config.seed)
        self.sampler = sampler
        self._features, self._standard = data.features, standard
        self._network = config.network(data.widths, data.k)
        self._text_dropout, self._source_dropout = config.text_dropout, config.source_dropout
        self._noisy = NoisySampler(sampler.clips, config.window, config.noisy, config.seed)
        self._mouths = mouth_directions(sampler.clips, mouths or {}, data.k, config.masked)
        if config.noisy and config.loss_units == "raw":
            raise TrainingDataError(
                "loss_units is raw and noisy is above 0; the mouth's direction is known in "
                "whitened units only: take loss_units whitened, or noisy 0"
            )
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
        noisy = self._noisy.draw(step, draw)
        mine = self._rows(draw.clip, draw.start)
        theirs = self._rows(noisy.clip, noisy.start)
        target = mixed_targets(mine, theirs, noisy.share, self._mouths[draw.clip])
        own, own_known = finite_frames(target)
        other, other_known = finite_frames(self._rows(draw.other, draw.other_start))
        # Eq. 13's other person wears the recorded emotion, not the mixed one.
        other_known &= torch.from_numpy(noisy.share == 0)[:, None]
        normal = np.repeat(self._normals[draw.clip][:, None], self.sampler.window, axis=1)

        def here(tensor: Tensor) -> Tensor:
            return tensor.to(self._device)

        return Batch(
            self._inputs(draw), here(torch.from_numpy(normal)), here(own), here(own_known),
            here(other), here(other_known), here(torch.from_numpy(self._scale[draw.clip])),
            here(torch.from_numpy(self._offset[draw.clip])), self._asked(step, draw, noisy),
        )  # fmt: skip

    def _asked(self, step: int, draw: Draw, noisy: NoisyDraw) -> Asked:
        """Labels, and which sources a window may read.

        A noisy window's voice belongs to another emotion: it may not be read without the label.
        """
        labels, clips = self._network.labels, self.sampler.clips
        tags = [clips[i].emotion for i in draw.clip]
        others = [clips[i].emotion if i >= 0 else "" for i in noisy.clip]
        weights = mixed_labels(tags, others, noisy.share, labels)
        lots = np.random.default_rng([self.sampler.seed, step, 2]).random((len(tags), 3))
        known = lots >= self._source_dropout
        known[:, 0] &= np.array([tag != "" for tag in tags])
        known[:, 0] |= noisy.share > 0
        frames = np.repeat(weights[:, None], self.sampler.window, axis=1)
        return Asked(
            torch.from_numpy(frames).to(self._device), torch.from_numpy(known).to(self._device)
        )

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
