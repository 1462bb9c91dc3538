"""Ten expression coefficients with names: distances on the face, free of pose and size."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from pipeline.encoder import ClipInputs, identity_of
from pipeline.face.indices import CHIN, RIGID
from pipeline.features import FeatureSpec

NAMES = (
    "jaw_open",
    "mouth_width",
    "lip_protrusion",
    "corner_raise",
    "upper_lip_raise",
    "lower_lip_drop",
    "brow_inner_raise",
    "brow_outer_raise",
    "brow_gap",
    "eye_open",
)
"""Order of the coefficients; each grows with what its name says."""

_LIPS = [0, 37, 267, 17, 84, 314]
_BELOW_LIPS = [18, 200, 199]
_CORNERS = [61, 291]
_UPPER_LIP = [0, 37, 267, 13]
_LOWER_LIP = [17, 84, 314, 14]
_BROW_INNER = [55, 65, 107, 66, 285, 295, 336, 296]
_BROW_OUTER = [46, 53, 70, 63, 276, 283, 300, 293]
_EYE_CORNERS = [33, 133, 263, 362]
_OUTER_CORNERS = [33, 263]
_BROW_SIDES = ([55, 107], [285, 336])
_LIDS = ([160, 159, 158, 387, 386, 385], [144, 145, 153, 373, 374, 380])


@dataclass(frozen=True)
class SemanticConfig:
    """Nothing to choose yet; the landmarks of each coefficient are part of the version."""


class SemanticEncoder:
    """expression/semantic: [V, 10], order `NAMES`, in rigid face lengths.

    Landmarks are turned back by the head's pose, their origin is the centre of the rigid ones and
    their unit the RMS distance of those from it. How wide a mouth or how high a brow someone has
    at rest is still inside; whitening over an identity's clips takes it out.
    """

    name = "semantic"
    version = "1"
    inputs = ("face/landmarks", "pose/camera")
    outputs = (FeatureSpec("expression/semantic", (len(NAMES),), "float32", float("nan")),)

    def __init__(self, config: SemanticConfig | None = None) -> None:
        """`config` None: the only one there is."""
        self.config = config or SemanticConfig()

    def identity(self) -> dict[str, Any]:
        """Version and names."""
        return identity_of(self.name, self.version, self.config) | {"names": list(NAMES)}

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """Ten numbers a frame; NaN where no face was found."""
        landmarks = inputs.features["face/landmarks"]
        cameras = inputs.features["pose/camera"]
        return {"expression/semantic": coefficients(upright(landmarks, cameras))}


def upright(
    landmarks: Float32[np.ndarray, "frames points 3"],
    cameras: Float32[np.ndarray, "frames 3 4"],
) -> Float32[np.ndarray, "frames points 3"]:
    """Landmarks turned back into head axes, centred and scaled by the rigid ones."""
    rigid = landmarks[:, RIGID]
    centred = landmarks - rigid.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred[:, RIGID] ** 2).sum(-1).mean(-1))
    # R maps head to camera; row vectors times R apply its inverse
    return np.matmul(centred, cameras[:, :, :3]) / spread[:, None, None]


def coefficients(
    face: Float32[np.ndarray, "frames points 3"],
) -> Float32[np.ndarray, "frames 10"]:
    """The ten distances of upright landmarks (x right, y down, z away).

    Brows are measured against the eyes and lips against the chin's hollow: the network places
    neighbours with a common error, which the difference drops.
    """

    def height(points: list[int]) -> np.ndarray:
        return -face[:, points, 1].mean(axis=1)

    def depth(points: list[int]) -> np.ndarray:
        return face[:, points, 2].mean(axis=1)

    def apart(left: list[int], right: list[int]) -> np.ndarray:
        return np.linalg.norm(face[:, left] - face[:, right], axis=-1).mean(axis=1)

    values = {
        "jaw_open": -height([CHIN]),
        "mouth_width": apart(_CORNERS[:1], _CORNERS[1:]),
        "lip_protrusion": depth(_BELOW_LIPS) - depth(_LIPS),
        "corner_raise": height(_CORNERS),
        "upper_lip_raise": height(_UPPER_LIP),
        "lower_lip_drop": -height(_LOWER_LIP),
        "brow_inner_raise": height(_BROW_INNER) - height(_EYE_CORNERS),
        "brow_outer_raise": height(_BROW_OUTER) - height(_OUTER_CORNERS),
        "brow_gap": apart(*_BROW_SIDES),
        "eye_open": apart(*_LIDS),
    }
    return np.stack([values[name] for name in NAMES], axis=1).astype(np.float32)
