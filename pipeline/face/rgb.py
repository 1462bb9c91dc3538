"""The cropped frames themselves: what a head is trained on."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.encoder import VIDEO, ClipInputs, identity_of
from pipeline.errors import ProfileError
from pipeline.face import models
from pipeline.face.crop import CropConfig
from pipeline.features import FeatureSpec
from pipeline.media_video import VideoConfig
from pipeline.quality_rules import QualityConfig


@dataclass(frozen=True)
class RgbConfig:
    """How a clip becomes square pictures. Every visual feature hangs on these."""

    size: int = 256
    """Side of the stored frames, pixels."""
    crop: CropConfig = field(default_factory=CropConfig)
    video: VideoConfig = field(default_factory=VideoConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)

    def __post_init__(self) -> None:
        """Label pictures and face mesh need some pixels."""
        if not 64 <= self.size <= 1024:
            raise ProfileError(f"frames of {self.size} px; 64 to 1024 px are supported")


class RgbEncoder:
    """video/rgb: the crop of each frame, uint8, at the dataset's size."""

    name = "crop"
    version = "1"
    inputs = (VIDEO,)

    def __init__(self, config: RgbConfig | None = None) -> None:
        """`config` also tells `process_clip` how to decode."""
        self.config = config or RgbConfig()
        shape = (self.config.size, self.config.size, 3)
        self.outputs = (FeatureSpec("video/rgb", shape, "uint8", 0, codec="image"),)

    def identity(self) -> dict[str, Any]:
        """Settings and the detectors' hashes."""
        files = models.weights("face_detection_short", "face_detection_full")
        identity = identity_of(self.name, self.version, self.config, files)
        del identity["config"]["video"]["memory"]  # changes how, never what
        if not self.config.quality.reject:
            del identity["config"]["quality"]  # limits that only flag change no cell
        return identity

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """The frames as they were decoded."""
        return {"video/rgb": inputs.video()}
