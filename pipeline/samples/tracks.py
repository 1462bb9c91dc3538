"""What moves besides the mouth: head pose, blinks, gaze. All smooth, all known."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pipeline.clock import FPS

_PIVOT = np.array([0.0, 55.0, 2.0])
"""The joint of the neck in head coordinates, units."""

_MEAN_PITCH = {"neutral": 0.0, "happy": -1.0, "sad": 2.5, "angry": 1.5}


@dataclass(frozen=True)
class Pose:
    """Per frame: head coordinates (units) after the motion = rotation @ head + translation."""

    rotation: Float[np.ndarray, "frames 3 3"]
    translation: Float[np.ndarray, "frames 3"]


def rotations(
    yaw: Float[np.ndarray, " frames"],
    pitch: Float[np.ndarray, " frames"],
    roll: Float[np.ndarray, " frames"],
) -> Float[np.ndarray, "frames 3 3"]:
    """roll @ yaw @ pitch about z, y, x, degrees; yaw > 0 looks picture-left, pitch > 0 down."""
    out = np.tile(np.eye(3), (len(yaw), 1, 1))
    for axis, degrees in ((0, pitch), (1, yaw), (2, roll)):
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        turn = np.tile(np.eye(3), (len(yaw), 1, 1))
        turn[:, i, i], turn[:, i, j], turn[:, j, i], turn[:, j, j] = c, -s, s, c
        out = turn @ out
    return out


def _wander(frames: int, reach: float, rng: np.random.Generator) -> Float[np.ndarray, " frames"]:
    """A slow curve within +-reach."""
    t = np.arange(frames) / FPS
    curve = np.zeros(frames)
    for hertz, share in ((0.18, 0.55), (0.37, 0.3), (0.71, 0.15)):
        phase = rng.uniform(0, 2 * np.pi)
        curve += share * np.sin(2 * np.pi * hertz * rng.uniform(0.8, 1.2) * t + phase)
    return reach * curve


def head_pose(frames: int, emotion: str, rng: np.random.Generator) -> Pose:
    """A wandering head: up to about 12 degrees of yaw, 8 of pitch, 5 of roll."""
    rotation = rotations(
        _wander(frames, 12.0, rng),
        _wander(frames, 5.5, rng) + _MEAN_PITCH[emotion],
        _wander(frames, 5.0, rng),
    )
    shift = np.stack([_wander(frames, reach, rng) for reach in (2.0, 1.2, 5.0)], axis=1)
    return Pose(rotation, _PIVOT - rotation @ _PIVOT + shift)


def blinks(frames: int, rng: np.random.Generator) -> Float[np.ndarray, " frames"]:
    """0 open .. 1 shut; a blink every two to four seconds, about 0.28 s long."""
    t = (np.arange(frames) + 0.5) / FPS
    out = np.zeros(frames)
    at = rng.uniform(0.2, 1.6)
    while at < t[-1]:
        out = np.maximum(out, np.exp(-0.5 * ((t - at) / 0.055) ** 2))
        at += rng.uniform(2.0, 4.0)
    return np.where(out < 0.02, 0.0, out)


def gaze(frames: int, rng: np.random.Generator) -> Float[np.ndarray, "frames 2"]:
    """Where the eyes look, sideways and down, in [-1, 1]; rests between quick jumps."""
    out = np.zeros((frames, 2))
    at = 0
    while at < frames:
        until = at + int(rng.integers(10, 30))
        out[at:until] = rng.uniform((-0.5, -0.2), (0.5, 0.25))
        at = until
    return out
