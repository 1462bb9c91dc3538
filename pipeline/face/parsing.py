"""Face parsing without a parsing network: a person mask, the face mesh, and the clip's own colours.

The mask of MediaPipe's selfie segmentation says where the person is; polygons of the face mesh
give face, eyes, brows, nose and lips; what is left of the person is hair, skin, neck or cloth by
where it lies (in the face's own axes) and by which of these its colour resembles in this clip.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from pipeline.encoder import VIDEO, ClipInputs, identity_of
from pipeline.errors import RejectedClip
from pipeline.face import indices, labels, models
from pipeline.face.outer import OuterParts
from pipeline.features import FeatureSpec

_PARTS = (
    (indices.NOSE, labels.NOSE),
    (indices.RIGHT_BROW, labels.LEFT_BROW),
    (indices.LEFT_BROW, labels.RIGHT_BROW),
    (indices.RIGHT_EYE, labels.LEFT_EYE),
    (indices.LEFT_EYE, labels.RIGHT_EYE),
    (indices.LIPS_INNER, labels.MOUTH),
    (indices.UPPER_LIP, labels.UPPER_LIP),
    (indices.LOWER_LIP, labels.LOWER_LIP),
)
_HULLS = {labels.NOSE, labels.LEFT_BROW, labels.RIGHT_BROW}
_SUBPIXEL = 4
"""Bits of polygon corners behind the point."""


@dataclass(frozen=True)
class SelfieConfig:
    """How the picture is parsed."""

    size: int = 256
    """Side of the label pictures: that of the frames, pixels."""
    person: float = 0.5
    """Mask value from which a pixel belongs to the person."""
    seeds: int = 8
    """Frames from which the clip's colours of skin, hair and cloth are learnt."""


class SelfieEncoder:
    """parsing/selfie: CelebAMask-HQ labels 0-5, 10-14, 16, 17 per pixel.

    Ears count as skin, glasses, hats and jewellery as what they cover. 255 in frames without a
    face.
    """

    name = "selfie"
    version = "1"
    inputs = (VIDEO, "face/landmarks")

    def __init__(self, config: SelfieConfig | None = None) -> None:
        """`config.size` must be that of the frames."""
        self.config = config or SelfieConfig()
        shape = (self.config.size, self.config.size)
        self.outputs = (
            FeatureSpec("parsing/selfie", shape, "uint8", labels.UNKNOWN, codec="labels"),
        )

    def identity(self) -> dict[str, Any]:
        """Settings and the network's hash."""
        return identity_of(self.name, self.version, self.config, models.weights("selfie"))

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """One label picture a frame.

        Raises:
            RejectedClip: no frame has a face.
        """
        video, landmarks = inputs.video(), inputs.features["face/landmarks"]
        seen = np.flatnonzero(np.isfinite(landmarks[:, 0, 0]))
        if len(seen) == 0:
            raise RejectedClip("no face landmarks in any frame")
        parsed = np.full(video.shape[:3], labels.UNKNOWN, np.uint8)
        with models.using(models.selfie_segmentation(landscape=False)) as network:
            chosen = np.linspace(0, len(seen) - 1, self.config.seeds).round().astype(int)
            people = {i: self._person(network, video[i]) for i in seen[np.unique(chosen)]}
            outer = OuterParts([(video[i], people[i], landmarks[i]) for i in people])
            for i in seen:
                person = people[i] if i in people else self._person(network, video[i])
                parsed[i] = outer.label(video[i], person, landmarks[i])
                draw_face(parsed[i], landmarks[i])
        return {"parsing/selfie": parsed}

    def _person(
        self, network: Any, frame: UInt8[np.ndarray, "size size 3"]
    ) -> Bool[np.ndarray, "size size"]:
        return network.process(frame).segmentation_mask >= self.config.person


def draw_face(
    picture: UInt8[np.ndarray, "size size"], landmarks: Float32[np.ndarray, "points 3"]
) -> None:
    """Paint the face's inner parts over a label picture, in place."""
    corners = np.round(landmarks[:, :2] * 2**_SUBPIXEL).astype(np.int32)
    cv2.fillPoly(picture, [corners[indices.OVAL]], labels.SKIN, shift=_SUBPIXEL)
    for loop, label in _PARTS:
        polygon = corners[loop]
        if label in _HULLS:
            polygon = cv2.convexHull(polygon)
        cv2.fillPoly(picture, [polygon], label, shift=_SUBPIXEL)
