"""Where the head is: one world-to-camera matrix per frame, smooth in time without lag."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64

from pipeline import clock
from pipeline.encoder import ClipInputs, identity_of, sha256_of
from pipeline.errors import ProfileError, RejectedClip
from pipeline.face import rigid, template
from pipeline.face.indices import RIGID
from pipeline.features import FeatureSpec

FOCAL_FACTOR = 4.0
"""Focal length over frame side: a portrait lens."""


@dataclass(frozen=True)
class PoseConfig:
    """The camera and how much of the motion is believed."""

    size: int = 256
    """Side of the frames the landmarks were measured in, pixels."""
    focal_factor: float = FOCAL_FACTOR
    """Focal length over frame side, the same for all clips."""
    prior: float = 1000.0
    """Pixels^2 (of a 256 px frame) per radian^2 by which rotations keep to the landmarks' depths.
    On clips of known pose the pitch is 0.6-0.9 of the truth without it, 0.8-1.05 with it."""
    bundle: int = 0
    """Rounds in which the clip's own rigid points are fitted with its poses; 0 keeps the template.
    Halves the reprojection error or better; see docs/decisions/0013 for why it is off."""
    cutoff: float = 4.0
    """Hz; faster turns are landmark noise and are smoothed away. 0 keeps frames as measured."""

    def __post_init__(self) -> None:
        """A camera needs a positive focal length."""
        if self.focal_factor <= 0 or min(self.prior, self.cutoff, self.bundle) < 0:
            raise ProfileError(
                f"pose: focal_factor {self.focal_factor} must be positive, prior {self.prior}, "
                f"bundle {self.bundle} and cutoff {self.cutoff} not negative"
            )

    @property
    def focal(self) -> float:
        """Focal length, pixels."""
        return self.focal_factor * self.size


class PoseEncoder:
    """pose/camera [R|t] with x_cam = R X + t, and pose/error in pixels.

    Head coordinates are those of `pipeline.face.template`; pixel = focal x/z + size/2.
    """

    name = "pose"
    version = "1"
    inputs = ("face/landmarks",)
    outputs = (
        FeatureSpec("pose/camera", (3, 4), "float32", float("nan")),
        FeatureSpec("pose/error", (), "float32", float("nan")),
    )

    def __init__(self, config: PoseConfig | None = None) -> None:
        """`config.size` must be that of the frames."""
        self.config = config or PoseConfig()

    def identity(self) -> dict[str, Any]:
        """Settings and the template's hash."""
        files = {"template": sha256_of(template.file())}
        return identity_of(self.name, self.version, self.config, files)

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """Cameras and reprojection errors; NaN where no face was found."""
        cameras, errors = solve(inputs.features["face/landmarks"], self.config)
        inputs.facts["focal"] = self.config.focal
        inputs.facts["smoothed_above_hz"] = self.config.cutoff
        inputs.facts["error_px_median"] = round(float(np.nanmedian(errors)), 3)
        return {"pose/camera": cameras, "pose/error": errors}


def solve(
    landmarks: Float32[np.ndarray, "frames points 3"], config: PoseConfig
) -> tuple[Float32[np.ndarray, "frames 3 4"], Float32[np.ndarray, " frames"]]:
    """Cameras [R|t] and RMS reprojection errors (pixels) of the rigid landmarks.

    Raises:
        RejectedClip: no frame has landmarks.
    """
    seen = np.isfinite(landmarks[:, 0, 0])
    if not seen.any():
        raise RejectedClip("no face landmarks in any frame")
    shape = template.template()[RIGID]
    points = landmarks[seen][:, RIGID].astype(np.float64)
    start = rigid.similarity(points, shape)
    middle = config.size / 2
    prior = config.prior * (config.size / 256) ** 2
    flat = points[..., :2]
    rotation, centre = rigid.perspective(flat, shape, start, config.focal, middle, prior)
    for _ in range(config.bundle):
        shape = rigid.own_shape(flat, shape, (rotation, centre), config.focal, middle)
        start = rigid.similarity(points, shape)
        rotation, centre = rigid.perspective(flat, shape, start, config.focal, middle, prior)
    rotation, centre = _steady(rotation, centre, seen, config.cutoff)
    there = rigid.project(shape, rotation, centre, config.focal, middle)
    cameras = np.full((len(seen), 3, 4), np.nan, np.float32)
    cameras[seen] = np.concatenate([rotation, centre[:, :, None]], axis=2)
    errors = np.full(len(seen), np.nan, np.float32)
    errors[seen] = np.sqrt(((there - points[..., :2]) ** 2).sum(-1).mean(-1))
    return cameras, errors


def _steady(
    rotation: Float64[np.ndarray, "found 3 3"],
    centre: Float64[np.ndarray, "found 3"],
    seen: Bool[np.ndarray, " frames"],
    cutoff: float,
) -> tuple[Float64[np.ndarray, "found 3 3"], Float64[np.ndarray, "found 3"]]:
    """Smooth in time; turns are smoothed as rotation vectors about the clip's mean rotation."""
    u, _, vt = np.linalg.svd(rotation.sum(axis=0))
    mean = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    series = np.zeros((len(seen), 6))
    series[seen, :3] = rigid.log_rotation(rotation @ mean.T)
    series[seen, 3:] = centre
    smooth = rigid.smooth(series, seen, cutoff, float(clock.FPS))[seen]
    return rigid.exp_rotation(smooth[:, :3]) @ mean, smooth[:, 3:]
