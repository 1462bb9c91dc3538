"""Drawing training rays: a random pixel of a random frame, its colour and matte."""

from typing import no_type_check

import numpy as np

from render.kernels.jit import kernel


@kernel
@no_type_check
def _mix(z: int) -> int:
    """splitmix64: a well-stirred 64-bit value of a counter."""
    z = np.uint64(z + np.uint64(0x9E3779B97F4A7C15))
    z = np.uint64((z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9))
    z = np.uint64((z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB))
    return z ^ (z >> np.uint64(31))


@kernel
@no_type_check
def _unit(state: int) -> float:
    return np.float32((state >> np.uint64(40)) * (1.0 / 16777216.0))


@kernel
@no_type_check
def draw_rays(
    seed: int,
    frames: np.ndarray,
    labels: np.ndarray,
    bounds: np.ndarray,
    chance: np.ndarray,
    is_head: np.ndarray,
    cameras: np.ndarray,
    focal: float,
    low: np.ndarray,
    side: float,
    frame_of: np.ndarray,
    origins: np.ndarray,
    directions: np.ndarray,
    target: np.ndarray,
    matte: np.ndarray,
    background: np.ndarray,
    jitter: np.ndarray,
) -> None:
    """Fill a batch; every value is a function of seed alone, so a resumed run draws the same rays.

    A pixel is drawn evenly from its frame's bounds [frame, (x0, y0, x1, y1)) and kept with the
    chance of its label; matte is the head's share of its 3x3 neighbourhood.
    """
    size = frames.shape[1]
    state = _mix(np.uint64(seed))
    half = np.float32(size * 0.5)
    for r in range(len(frame_of)):
        while True:
            state = _mix(state)
            i = np.int64(state % np.uint64(len(frames)))
            state = _mix(state)
            x0, y0, x1, y1 = bounds[i, 0], bounds[i, 1], bounds[i, 2], bounds[i, 3]
            x = x0 + np.int64(state % np.uint64(x1 - x0))
            state = _mix(state)
            y = y0 + np.int64(state % np.uint64(y1 - y0))
            state = _mix(state)
            if _unit(state) < chance[labels[i, y, x]]:
                break
        frame_of[r] = i
        inside = 0
        count = 0
        for v in range(max(y - 1, 0), min(y + 2, size)):
            for u in range(max(x - 1, 0), min(x + 2, size)):
                inside += is_head[labels[i, v, u]]
                count += 1
        matte[r] = np.float32(inside) / np.float32(count)
        cx = (np.float32(x) + np.float32(0.5) - half) / focal
        cy = (np.float32(y) + np.float32(0.5) - half) / focal
        camera = cameras[i]
        length = np.float32(0.0)
        for a in range(3):
            v = camera[0, a] * cx + camera[1, a] * cy + camera[2, a]
            directions[r, a] = v
            length += v * v
            o = camera[0, a] * camera[0, 3] + camera[1, a] * camera[1, 3]
            origins[r, a] = (-o - camera[2, a] * camera[2, 3] - low[a]) / side
        length = np.sqrt(length)
        for a in range(3):
            directions[r, a] /= length
            target[r, a] = np.float32(frames[i, y, x, a]) * np.float32(1.0 / 255.0)
            state = _mix(state)
            background[r, a] = _unit(state)
        state = _mix(state)
        jitter[r] = _unit(state)
