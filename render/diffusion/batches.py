"""What one optimiser step eats, as a function of (seed, step) alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from render.diffusion.codec import to_signed
from render.diffusion.conditions import Conditions
from render.diffusion.config import PortraitTraining
from render.diffusion.data import PortraitClip
from render.diffusion.noise import draw_noise
from render.diffusion.portrait import ABSENT, CLEAN, NOISY
from render.diffusion.tracks import conditions_of
from render.errors import PortraitDataError
from store.sampling import EpochSampler


@dataclass(frozen=True)
class PortraitBatch:
    """Windows of one step. Motion frames, then frames to denoise."""

    frames: Float[Tensor, "batch frames 3 s s"]
    """In [-1, 1]; zeros where no motion frame is."""
    state: Int[Tensor, "batch frames"]
    """Of `render.diffusion.portrait`."""
    picture: Float[Tensor, "batch 3 s s"]
    """Another moment of the same person."""
    conditions: Conditions
    step: Int[Tensor, " batch"]
    """Of the chain."""
    noise_seed: int
    """Of the noise (its shape is the codec's affair)."""
    weight: Float[Tensor, "batch frames 1 s s"] | None = None
    """Of each pixel in the loss; None: all count alike. Of motion frames it means nothing."""

    def noise(self, shape: tuple[int, ...]) -> Tensor:
        """Noise of the frames' places."""
        return draw_noise(shape, self.noise_seed)


class PortraitBatches:
    """Each window once an epoch, in an order that needs no state."""

    def __init__(self, clips: Sequence[PortraitClip], config: PortraitTraining) -> None:
        """Index windows and the frames that can stand for a person.

        Raises:
            PortraitDataError: no clip is as long as a window.
        """
        self.config = config
        self._clips = clips
        self._frames, self._motion = config.network.frames, config.network.motion_frames
        counts = np.maximum([len(clip.frames) - self._frames + 1 for clip in clips], 0)
        if not counts.any():
            longest = max(len(clip.frames) for clip in clips)
            raise PortraitDataError(
                f"portrait: the longest of {len(clips)} clips has {longest} frames, a window "
                f"{self._frames}; set frames to {longest} or less, or add longer clips"
            )
        self._ends = np.cumsum(counts)
        self._sampler = EpochSampler(int(self._ends[-1]), config.batch, config.seed)
        self._pictures: dict[str, list[tuple[int, int]]] = {}
        for i, clip in enumerate(clips):
            faces = np.flatnonzero(np.isfinite(clip.expression).all(axis=1)).tolist()
            self._pictures.setdefault(clip.identity, []).extend((i, at) for at in faces)

    @property
    def windows(self) -> int:
        """Windows of an epoch."""
        return int(self._ends[-1])

    def of(self, step: int) -> PortraitBatch:
        """The batch of a step."""
        config = self.config
        rng = np.random.default_rng([config.seed, step])
        frames, states, pictures, tracks, starts, moving = [], [], [], [], [], []
        for flat in self._sampler.indices(step):
            clip = int(np.searchsorted(self._ends, flat, side="right"))
            start = int(flat - (self._ends[clip - 1] if clip else 0))
            alone = start < self._motion or rng.random() < config.drop_motion
            here = self._clips[clip]
            frames.append(self._window(here.frames, start, alone))
            if config.moving_weight and here.moving is not None:
                moving.append(self._window(here.moving, start, alone))
            states.append([ABSENT if alone else CLEAN] * self._motion + [NOISY] * self._frames)
            pictures.append(self._picture(clip, start, float(rng.random())))
            tracks.append((here.audio, here.expression, here.asked))
            starts.append(start - self._motion)
        conditions = conditions_of(
            tracks, starts, self._motion + self._frames, config.network.audio_margin
        )
        drops = rng.random((3, config.batch))
        hears, feels, sees = (
            torch.from_numpy(lots >= share)
            for lots, share in zip(
                drops,
                (config.drop_audio, config.drop_expression, config.drop_reference),
                strict=True,
            )
        )
        told = Conditions(
            conditions.audio, conditions.inside, conditions.expression, conditions.expressed,
            hears, feels, sees, conditions.asked,
        )  # fmt: skip
        state = torch.tensor(states)
        signed = to_signed(np.stack(frames)) * (state != ABSENT)[..., None, None, None]
        return PortraitBatch(
            signed, state, to_signed(np.stack(pictures)), told,
            torch.from_numpy(rng.integers(config.noise.steps, size=config.batch)),
            int(rng.integers(2**62)),
            _weights(np.stack(moving), config.moving_weight) if moving else None,
        )  # fmt: skip

    def _window(
        self, track: UInt8[np.ndarray, "all ..."], start: int, alone: bool
    ) -> UInt8[np.ndarray, "frames ..."]:
        if not alone:
            return np.array(track[start - self._motion : start + self._frames])
        window = np.array(track[start : start + self._frames])
        return np.concatenate([np.zeros((self._motion, *window.shape[1:]), np.uint8), window])

    def _picture(self, clip: int, start: int, lot: float) -> UInt8[np.ndarray, "s s 3"]:
        """A frame of the person outside the window, wherever there is one."""
        known = self._pictures[self._clips[clip].identity]
        inside = range(start - self._motion, start + self._frames)
        other = [place for place in known if place[0] != clip or place[1] not in inside] or known
        i, at = other[int(lot * len(other))]
        return np.array(self._clips[i].frames[at])


def _weights(
    moving: UInt8[np.ndarray, "batch frames s s"], most: float
) -> Float[Tensor, "batch frames 1 s s"]:
    return torch.from_numpy(moving).float().mul_(most / 255).add_(1)[:, :, None]
