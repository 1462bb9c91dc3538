"""Numbers by which a clip is judged; what they mean for it is `pipeline.quality_rules`."""

from collections.abc import Mapping
from typing import Any, SupportsFloat

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from pipeline import clock
from pipeline.face.indices import OVAL
from pipeline.lag import lag_of, loudness
from pipeline.transcript import Transcript

VOICED_DB = 35.0
"""A frame this many decibels below the loudest still counts as sounding."""
SILENT_DBFS = -60.0
"""A 40 ms frame quieter than this counts as silence."""
_BLUR_FRAMES = 12


def measure(
    arrays: Mapping[str, np.ndarray],
    sound: np.ndarray | None,
    transcript: Transcript | None = None,
) -> dict[str, Any]:
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
        if transcript is not None:
            found |= words_against_sound(transcript, sound)
        if "face/mar" in arrays:
            lag = lag_of(arrays["face/mar"], sound)
            found["av_lag_s"] = _rounded(lag.seconds, 3) if lag and lag.believed else None
            found["av_agreement"] = None if lag is None else _rounded(lag.agreement, 2)
    if "video/rgb" in arrays:
        found["picture_hash"] = picture_hash(arrays["video/rgb"])
    return found


def words_against_sound(
    transcript: Transcript, sound: Float32[np.ndarray, " samples"]
) -> dict[str, Any]:
    """Whether these words can be this sound: speed of speech, and words where nothing sounds.

    It cannot tell one sentence from another of the same length; it finds transcripts of other
    files and times that are shifted.
    """
    level = loudness(sound)
    voiced = level > level.max() - VOICED_DB
    said = len(transcript.text.split())
    found: dict[str, Any] = {
        "words_per_second": _rounded(said / max(float(voiced.sum()) / clock.FPS, 0.04), 2)
    }
    if transcript.words:
        heard = [
            bool(voiced[int(w.start * clock.FPS) : int(w.end * clock.FPS) + 1].any())
            for w in transcript.words
        ]
        found["words_in_silence_percent"] = _rounded(100 * (1 - np.mean(heard)))
    return found


def picture_hash(video: UInt8[np.ndarray, "frames size size 3"]) -> str:
    """64 bits of the middle frames' mean, as hex: gradients of an 8x9 thumbnail (dHash).

    Equal scenes differ in few bits, whatever the codec; two sentences before one camera do too, so
    equal hashes are candidates and not yet duplicates.
    """
    few = video[np.linspace(0, len(video) - 1, 8).astype(int)].mean(axis=0)
    grey = cv2.resize(few.mean(axis=2), (9, 8), interpolation=cv2.INTER_AREA)
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()


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
