"""A second landmark back-end: MediaPipe Tasks FaceLandmarker, which adds 52 blendshapes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline import clock
from pipeline.encoder import VIDEO, ClipInputs, identity_of
from pipeline.errors import RejectedClip
from pipeline.face import models
from pipeline.face.indices import LANDMARKS
from pipeline.features import FeatureSpec
from pipeline.weights.registry import Kind
from pipeline.weights.shelf import Shelf

BLENDSHAPES = 52
"""Categories of the bundle, ARKit's names; the first, `_neutral`, is always near zero."""
_FRAME_MS = 1000 // clock.FPS


@dataclass(frozen=True)
class LandmarkerConfig:
    """Which bundle."""

    weights: str = "face_landmarker"
    """Name on the shelf."""
    confidence: float = 0.5
    """Least confidence of detection, presence and tracking, as in the face mesh."""


class LandmarkerEncoder:
    """face/landmarks_tasks, like face/landmarks, and face/blendshapes in 0..1.

    The 478 indices are those of the face mesh. A frame without a face is NaN.
    """

    name = "landmarker"
    version = "1"
    inputs = (VIDEO,)
    outputs = (
        FeatureSpec("face/landmarks_tasks", (LANDMARKS, 3), "float32", float("nan")),
        FeatureSpec("face/blendshapes", (BLENDSHAPES,), "float32", float("nan")),
    )

    def __init__(self, config: LandmarkerConfig | None = None, shelf: Shelf | None = None) -> None:
        """Loads nothing yet; `shelf` None: the usual one."""
        self.config = config or LandmarkerConfig()
        self.shelf = shelf or Shelf.usual()

    @staticmethod
    def needs(config: LandmarkerConfig) -> tuple[tuple[str, Kind], ...]:
        """Weights by name and kind."""
        return ((config.weights, "landmarker"),)

    def identity(self) -> dict[str, Any]:
        """Settings and the bundle's hash."""
        files = self.shelf.hashes(self.config.weights, "landmarker")
        return identity_of(self.name, self.version, self.config, files)

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """Track one face through the clip; the graph is a new one for each clip.

        Raises:
            RejectedClip: no frame shows a face.
        """
        video = inputs.video()
        landmarks = np.full((len(video), LANDMARKS, 3), np.nan, np.float32)
        shapes = np.full((len(video), BLENDSHAPES), np.nan, np.float32)
        with self._graph() as graph, models.using(graph):
            from mediapipe import Image, ImageFormat

            for index, frame in enumerate(video):
                picture = Image(ImageFormat.SRGB, np.ascontiguousarray(frame))
                found = graph.detect_for_video(picture, index * _FRAME_MS)
                if not found.face_landmarks:
                    continue
                size = len(frame)
                landmarks[index] = [
                    (p.x * size, p.y * size, p.z * size) for p in found.face_landmarks[0]
                ]
                shapes[index] = [shape.score for shape in found.face_blendshapes[0]]
        if np.isnan(landmarks[:, 0, 0]).all():
            raise RejectedClip(f"no face in any of {len(video)} frames")
        return {"face/landmarks_tasks": landmarks, "face/blendshapes": shapes}

    @contextmanager
    def _graph(self) -> Iterator[Any]:
        path = next(self.shelf.open(self.config.weights, "landmarker").glob("*.task"))
        with models.quiet():
            from mediapipe.tasks.python.core.base_options import BaseOptions
            from mediapipe.tasks.python.vision import (
                FaceLandmarker,
                FaceLandmarkerOptions,
                RunningMode,
            )

            least = self.config.confidence
            graph = FaceLandmarker.create_from_options(
                FaceLandmarkerOptions(
                    BaseOptions(model_asset_path=str(path)),
                    running_mode=RunningMode.VIDEO,
                    min_face_detection_confidence=least,
                    min_face_presence_confidence=least,
                    min_tracking_confidence=least,
                    output_face_blendshapes=True,
                )
            )
        try:
            yield graph
        finally:
            graph.close()
