"""Mouth aspect ratio: how far the inner lips part, over how wide they are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from pipeline.encoder import ClipInputs, identity_of
from pipeline.features import FeatureSpec


@dataclass(frozen=True)
class MarConfig:
    """Which landmarks are measured."""

    gaps: tuple[tuple[int, int], ...] = ((81, 178), (13, 14), (311, 402))
    """Pairs of upper and lower inner-lip landmarks (iBUG 61-67, 62-66, 63-65)."""
    corners: tuple[int, int] = (78, 308)
    """Inner corners of the mouth (iBUG 60, 64)."""


class MarEncoder:
    """face/mar = mean |upper - lower| / |corner - corner|, as distances in 3-D.

    Three dimensions keep the ratio when the head turns: in the picture alone the width shrinks
    with the cosine of the yaw. NaN where no face was found.
    """

    name = "mar"
    version = "1"
    inputs = ("face/landmarks",)
    outputs = (FeatureSpec("face/mar", (), "float32", float("nan")),)

    def __init__(self, config: MarConfig | None = None) -> None:
        """`config` None: the inner-lip ratio of notes and papers."""
        self.config = config or MarConfig()

    def identity(self) -> dict[str, Any]:
        """Settings."""
        return identity_of(self.name, self.version, self.config)

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """One ratio a frame."""
        return {"face/mar": mouth_aspect(inputs.features["face/landmarks"], self.config)}


def mouth_aspect(
    landmarks: Float32[np.ndarray, "frames points 3"], config: MarConfig | None = None
) -> Float32[np.ndarray, " frames"]:
    """The ratio of each frame: 0 closed, about 1 wide open."""
    config = config or MarConfig()
    gaps = [_distance(landmarks, *pair) for pair in config.gaps]
    return (np.mean(gaps, axis=0) / _distance(landmarks, *config.corners)).astype(np.float32)


def _distance(landmarks: np.ndarray, a: int, b: int) -> np.ndarray:
    return np.linalg.norm(landmarks[:, a] - landmarks[:, b], axis=-1)
