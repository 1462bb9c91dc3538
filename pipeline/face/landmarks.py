"""478 face landmarks per frame: MediaPipe face mesh, tracking, with a second look at misses."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from pipeline.encoder import VIDEO, ClipInputs, identity_of
from pipeline.errors import RejectedClip
from pipeline.face import models
from pipeline.face.indices import LANDMARKS
from pipeline.features import FeatureSpec


@dataclass(frozen=True)
class FaceMeshConfig:
    """How the mesh is followed through a clip."""

    second_look: bool = True
    """Search a frame the tracker lost again from scratch, as a still."""


class FaceMeshEncoder:
    """MediaPipe face mesh 0.10.14 with irises: face/landmarks and face/found.

    Landmarks are crop pixels: x right, y down, z away from the camera on the same scale, zero near
    the head's centre (weak perspective: Kartynnik et al., arXiv 1907.06724). A frame without a face
    is NaN and 0; the frame before is never repeated.
    """

    name = "facemesh"
    version = "1"
    inputs = (VIDEO,)
    outputs = (
        FeatureSpec("face/landmarks", (LANDMARKS, 3), "float32", float("nan")),
        FeatureSpec("face/found", (), "uint8", 255),
    )

    def __init__(self, config: FaceMeshConfig | None = None) -> None:
        """Loads nothing yet."""
        self.config = config or FaceMeshConfig()

    def identity(self) -> dict[str, Any]:
        """Settings and model hashes."""
        files = models.weights("face_mesh", "face_detection_short")
        return identity_of(self.name, self.version, self.config, files)

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """Track one face through the clip.

        Raises:
            RejectedClip: no frame shows a face.
        """
        video = inputs.video()
        landmarks = np.full((len(video), LANDMARKS, 3), np.nan, np.float32)
        with models.using(models.face_mesh(tracking=True), fresh=True) as mesh:
            for points, frame in zip(landmarks, video, strict=True):
                _locate(mesh, frame, points)
        missed = np.flatnonzero(np.isnan(landmarks[:, 0, 0]))
        if self.config.second_look and len(missed):
            with models.using(models.face_mesh(tracking=False)) as mesh:
                for index in missed:
                    _locate(mesh, video[index], landmarks[index])
        found = np.isfinite(landmarks[:, 0, 0])
        if not found.any():
            raise RejectedClip(f"no face in any of {len(video)} frames")
        return {"face/landmarks": landmarks, "face/found": found.astype(np.uint8)}


def _locate(
    mesh: Any,
    frame: UInt8[np.ndarray, "size size 3"],
    points: Float32[np.ndarray, "478 3"],
) -> None:
    """Write the landmarks of the frame's face into `points`; leave them where there is none."""
    faces = mesh.process(frame).multi_face_landmarks
    if faces:
        size = len(frame)
        points[:] = [(p.x * size, p.y * size, p.z * size) for p in faces[0].landmark]
