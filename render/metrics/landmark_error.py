"""Distances of face landmarks: M-LMD and F-LMD, in pixels and against the eye distance.

Landmarks are the 68 of iBUG, picked from the 478 of the face mesh. The ends of the jaw line are
poor matches (the mesh ends before the ears); they are the same points in both videos.
"""

import numpy as np
from jaxtyping import Float, Int64

_IBUG = (
    "127 234 93 132 58 136 150 176 152 400 379 365 288 361 323 454 356 "
    "70 63 105 66 107 336 296 334 293 300 168 197 5 4 75 97 2 326 305 "
    "33 160 158 133 153 144 362 385 387 263 373 380 "
    "61 40 37 0 267 270 291 321 314 17 84 91 78 81 13 311 308 402 14 178"
)
IBUG: Int64[np.ndarray, " points"] = np.array([int(n) for n in _IBUG.split()], np.int64)
"""Face-mesh index of each of the 68 points: jaw, brows, nose, eyes, outer lip, inner lip.

The choice of GeneFace++ (yerfor/GeneFacePlusPlus: face_landmarker.py).
"""
MOUTH_68 = slice(48, 68)
EYE_CORNERS_68 = (36, 45)
"""Outer corners of the two eyes."""


def landmark_distance(
    rendered: Float[np.ndarray, "frames points 2"], truth: Float[np.ndarray, "frames points 2"]
) -> float:
    """Mean distance in pixels after each set's mean was taken off (M-LMD, F-LMD); NaN rows left
    out.

    TalkingGaussian's `LMDMeter` (Fictionarry/TalkingGaussian: metrics.py).
    """
    a = rendered - rendered.mean(1, keepdims=True)
    b = truth - truth.mean(1, keepdims=True)
    return float(np.nanmean(np.linalg.norm(a - b, axis=2)))


def frame_distances(
    rendered: Float[np.ndarray, "frames points 2"], truth: Float[np.ndarray, "frames points 2"]
) -> Float[np.ndarray, " frames"]:
    """`landmark_distance` of each frame; NaN where a set has no landmarks.

    >>> square = np.array([[[0.0, 0], [2, 0], [2, 2], [0, 2]]])
    >>> frame_distances(2 * square, square)  # every corner sqrt(2) further out
    array([1.41421356])
    """
    a = rendered - rendered.mean(1, keepdims=True)
    b = truth - truth.mean(1, keepdims=True)
    return np.linalg.norm(a - b, axis=2).mean(1)


def eye_distance(points: Float[np.ndarray, "frames 68 2"]) -> Float[np.ndarray, " frames"]:
    """Distance of the outer eye corners, pixels."""
    left, right = EYE_CORNERS_68
    return np.linalg.norm(points[:, left] - points[:, right], axis=1)


def ibug(landmarks: Float[np.ndarray, "frames mesh 3"]) -> Float[np.ndarray, "frames 68 2"]:
    """The 68 points in the picture, of face-mesh landmarks."""
    return landmarks[:, IBUG, :2].astype(np.float64)
