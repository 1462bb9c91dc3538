"""Batches of training rays, a function of (seed, step) alone."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8

from render.cameras import Box
from render.fused import RayBatch
from render.head_data import HeadData
from render.kernels.draw import draw_rays
from render.masks import EYES, HEAD, MOUTH, head_mask, members
from render.sh import spherical_harmonics

_CELLS = 48
"""Cells per side by which rays are sorted."""


@dataclass(frozen=True)
class SamplingConfig:
    """How often a pixel is drawn, by where it lies (the ratios matter)."""

    mouth: float = 1.0
    """Lips and mouth inside: small, and what speech is judged by."""
    eyes: float = 0.8
    """Eyes and brows."""
    head: float = 0.35
    """The rest of the head."""
    outside: float = 0.12
    """Around the head, where the field must learn to be empty."""
    margin: float = 0.05
    """How far around the head's bounds `outside` goes, share of the picture."""
    alpha_noise: float = 0.05
    """Standard deviation of noise on α, whitened units: rendering must bear α from a network."""


class RaySampler:
    """Draws rays of the training frames."""

    def __init__(
        self, data: HeadData, box: Box, config: SamplingConfig, sh_degree: int, seed: int
    ) -> None:
        """Find each frame's bounds."""
        self.data = data
        self.config = config
        self.sh_degree = sh_degree
        self.seed = seed
        self._low = np.array(box.low, np.float32)
        self._side = np.float32(box.side)
        self._cameras = np.ascontiguousarray(data.cameras, np.float32)
        self._alpha = np.ascontiguousarray(data.alpha, np.float32)
        self._head = members(HEAD)
        self._chance = label_chances(config)
        self._bounds = frame_bounds(data.labels, round(config.margin * data.size))

    def draw(self, step: int, rays: int) -> RayBatch:
        """The batch of this step."""
        k = self._alpha.shape[1]
        frame_of = np.empty(rays, np.int64)
        origins, directions, target, background = (
            np.empty((rays, 3), np.float32) for _ in range(4)
        )
        matte, jitter = np.empty(rays, np.float32), np.empty(rays, np.float32)
        draw_rays(
            np.uint64(self.seed * 1_000_003 + step),
            self.data.frames,
            self.data.labels,
            self._bounds,
            self._chance,
            self._head,
            self._cameras,
            np.float32(self.data.focal),
            self._low,
            self._side,
            frame_of,
            origins,
            directions,
            target,
            matte,
            background,
            jitter,
        )
        order = _near_together(origins, directions)
        frame_of, origins, directions = frame_of[order], origins[order], directions[order]
        target, matte, background = target[order], matte[order], background[order]
        noise = np.random.default_rng((self.seed, step)).standard_normal((rays, k), np.float32)
        alpha = self._alpha[frame_of] + np.float32(self.config.alpha_noise) * noise
        harmonics = spherical_harmonics(torch.from_numpy(directions), self.sh_degree).numpy()
        return RayBatch(
            origins,
            directions,
            np.ascontiguousarray(harmonics),
            alpha,
            target,
            matte,
            background,
            np.full(rays, 1.0 / rays, np.float32),
            jitter,
            frame_of,
        )


def label_chances(config: SamplingConfig) -> Float[np.ndarray, " 256"]:
    """Chance of a drawn pixel to be kept, by its label; the largest is 1."""
    chance = np.full(256, config.outside, np.float32)
    for labels, value in ((HEAD, config.head), (EYES, config.eyes), (MOUTH, config.mouth)):
        chance[list(labels)] = value
    return chance / chance.max()


def frame_bounds(
    labels: UInt8[np.ndarray, "frames s s"], margin: int
) -> Int64[np.ndarray, "frames 4"]:
    """Rows (x0, y0, x1, y1) of each frame's head, `margin` pixels wider, inside the picture."""
    return np.array([_bounds(x, margin) for x in labels], np.int64)


def _near_together(origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """An order in which consecutive rays pass the box's middle near each other.

    Their samples then share table entries that are still in the cache: a step takes a third less.
    """
    reach = ((0.5 - origins) * directions).sum(1, keepdims=True)
    middle = np.clip((origins + reach * directions)[:, :2], 0, 0.999)
    row, column = (middle[:, 1] * _CELLS).astype(np.int64), (middle[:, 0] * _CELLS).astype(np.int64)
    # Odd rows run backwards.
    return np.argsort(row * _CELLS + np.where(row % 2, _CELLS - 1 - column, column))


def _bounds(labels: np.ndarray, margin: int) -> tuple[int, int, int, int]:
    mask = head_mask(labels)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    size = len(mask)
    return (
        max(int(columns[0]) - margin, 0),
        max(int(rows[0]) - margin, 0),
        min(int(columns[-1]) + 1 + margin, size),
        min(int(rows[-1]) + 1 + margin, size),
    )
