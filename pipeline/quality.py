"""Numbers by which a person judges a processed clip; nothing here decides, everything is shown."""

from collections.abc import Mapping
from typing import Any, SupportsFloat

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from pipeline.face.indices import OVAL

SILENT_DBFS = -60.0
"""A 40 ms frame quieter than this counts as silence."""
_BLUR_FRAMES = 12


def measure(arrays: Mapping[str, np.ndarray], sound: np.ndarray | None) -> dict[str, Any]:
    """Whatever can be said from the features at hand."""
    found: dict[str, Any] = {}
    if "face/found" in arrays:
        found["face_found_percent"] = _rounded(100 * np.mean(arrays["face/found"] == 1))
    if "pose/camera" in arrays:
        found |= pose_ranges(arrays["pose/camera"])
    if "pose/error" in arrays:
        found["pose_error_px"] = _rounded(np.nanmedian(arrays["pose/error"]))
    if "face/mar" in arrays:
        low, high = np.nanpercentile(arrays["face/mar"], [5, 95])
        found["mar_range"] = [_rounded(low, 3), _rounded(high, 3)]
    if "video/rgb" in arrays and "face/landmarks" in arrays:
        found["sharpness"] = sharpness(arrays["video/rgb"], arrays["face/landmarks"])
    if sound is not None:
        found |= sound_levels(sound)
    return found


def pose_ranges(cameras: Float32[np.ndarray, "frames 3 4"]) -> dict[str, list[float]]:
    """5th and 95th percentile of yaw, pitch and roll in degrees.

    Yaw grows when the head turns to the picture's right, pitch when it looks down, roll when it
    tilts clockwise in the picture.
    """
    seen = cameras[np.isfinite(cameras[:, 0, 0])]
    # where the face's own axes point in the camera: -z out of the face, x to the person's left
    ahead, across = -seen[:, :, 2], seen[:, :, 0]
    angles = {
        "yaw_deg": np.arctan2(ahead[:, 0], -ahead[:, 2]),
        "pitch_deg": np.arcsin(np.clip(ahead[:, 1], -1, 1)),
        "roll_deg": np.arctan2(across[:, 1], across[:, 0]),
    }
    return {
        name: [_rounded(v) for v in np.degrees(np.percentile(values, [5, 95]))]
        for name, values in angles.items()
    }


def sharpness(
    video: UInt8[np.ndarray, "frames size size 3"],
    landmarks: Float32[np.ndarray, "frames points 3"],
) -> float | None:
    """Median variance of the Laplacian inside the face, over a few frames; below 30 looks soft."""
    seen = np.flatnonzero(np.isfinite(landmarks[:, 0, 0]))
    if len(seen) == 0:
        return None
    values = []
    for index in seen[np.unique(np.linspace(0, len(seen) - 1, _BLUR_FRAMES).astype(int))]:
        grey = cv2.cvtColor(video[index], cv2.COLOR_RGB2GRAY)
        inside = np.zeros_like(grey)
        outline = np.round(landmarks[index, OVAL, :2]).astype(np.int32)
        cv2.fillPoly(inside, [outline], 1)
        edges = cv2.Laplacian(grey, cv2.CV_32F)[inside > 0]
        values.append(edges.var() if edges.size else 0.0)
    return _rounded(np.median(values))


def sound_levels(sound: Float32[np.ndarray, " samples"]) -> dict[str, Any]:
    """Level, silence and clipping of 16 kHz sound."""
    frames = sound.reshape(-1, 640)
    power = np.maximum((frames.astype(np.float64) ** 2).mean(axis=1), 1e-12)
    level = 10 * np.log10(power)
    peak = float(np.abs(sound).max())
    return {
        "audio_level_dbfs": _rounded(10 * np.log10(power.mean())),
        "audio_peak": _rounded(peak, 4),
        "audio_silent_percent": _rounded(100 * np.mean(level < SILENT_DBFS)),
        "audio_clipped_percent": _rounded(100 * np.mean(np.abs(sound) >= 0.999), 3),
    }


def _rounded(value: SupportsFloat, digits: int = 1) -> float:
    return round(float(value), digits)
