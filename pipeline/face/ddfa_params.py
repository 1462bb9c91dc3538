"""What 3DDFA_V2's 62 parameters are, and the square of a frame they are read from.

Geometry after https://github.com/cleardusk/3DDFA_V2/tree/1b6c67601abffc1e9f248b291708aef0e43b55ae/utils
(functions.py, tddfa_util.py); Guo et al., ECCV 2020.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from pipeline.errors import WeightError

SIDE = 120
"""Pixels of the square the network looks at."""
PARAMETERS = 62
POSE, SHAPE, EXPRESSION = slice(0, 12), slice(12, 52), slice(52, 62)
"""12 of a 3x4 affine map (scale, rotation, shift), 40 of shape, 10 of expression."""
LANDMARKS = 68

IBUG68 = np.array(
    [
        *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
        *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
        *(168, 197, 5, 4, 75, 97, 2, 326, 305),
        *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
        *(61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91),
        *(78, 81, 13, 311, 308, 402, 14, 178),
    ]
)
"""MediaPipe landmarks that lie nearest to the 68 of iBUG (order: jaw, brows, nose, eyes, lips)."""


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of the parameters, with which the network's output is undone."""

    mean: np.ndarray
    std: np.ndarray

    def raw(self, whitened: Float32[np.ndarray, "frames 62"]) -> Float32[np.ndarray, "frames 62"]:
        """Parameters in the face model's own units."""
        return whitened * self.std + self.mean


def read_statistics(path: Path) -> Statistics:
    """From the `.npz` that `emohead weights add` makes of the published pickle.

    Raises:
        WeightError: other arrays than 62 means and deviations.
    """
    with np.load(path, allow_pickle=False) as stored:
        held = {name: stored[name].astype(np.float32) for name in stored.files}
    if set(held) != {"mean", "std"} or any(a.shape != (PARAMETERS,) for a in held.values()):
        shapes = {name: a.shape for name, a in held.items()}
        raise WeightError(f"{path.name} has {shapes}; mean and std of {PARAMETERS} are expected")
    return Statistics(held["mean"], held["std"])


def roi_of_box(box: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
    """The square for a detected face (left, top, right, bottom): 1.58 times it, a little lower."""
    left, top, right, bottom = (float(edge) for edge in box)
    size = (right - left + bottom - top) / 2
    across, down = (left + right) / 2, (top + bottom) / 2 + 0.14 * size
    side = int(1.58 * size)
    return np.array([across - side / 2, down - side / 2, across + side / 2, down + side / 2])


def roi_of_points(points: Float[np.ndarray, "*frames 68 2"]) -> Float[np.ndarray, "*frames 4"]:
    """The square for 68 landmarks: sqrt 2 times the larger side of their box, round its centre."""
    low, high = points.min(axis=-2), points.max(axis=-2)
    middle = (low + high) / 2
    half = (high - low).max(axis=-1, keepdims=True) / np.sqrt(2)
    return np.concatenate([middle - half, middle + half], axis=-1)


def cropped(
    frame: UInt8[np.ndarray, "height width 3"], roi: Float[np.ndarray, "4"]
) -> UInt8[np.ndarray, "120 120 3"]:
    """The square of a frame, black where it leaves it, at the network's size.

    The edges are rounded to whole pixels, halves to the even one, as the original does.
    """
    left, top, right, bottom = (round(float(edge)) for edge in roi)
    height, width = frame.shape[:2]
    square = np.zeros((bottom - top, right - left, 3), np.uint8)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if x0 < x1 and y0 < y1:
        square[y0 - top : y1 - top, x0 - left : x1 - left] = frame[y0:y1, x0:x1]
    return cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)


def network_input(
    crops_bgr: UInt8[np.ndarray, "frames 120 120 3"],
) -> Float32[np.ndarray, "frames 3 120 120"]:
    """(x - 127.5) / 128, channels first, blue first."""
    scaled = (crops_bgr.astype(np.float32) - 127.5) / 128
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


@dataclass(frozen=True)
class Basis68:
    """The face model at 68 points: u + W_shape a + W_expression b, interleaved x y z."""

    mean: np.ndarray
    shape: np.ndarray
    expression: np.ndarray


def read_basis(path: Path) -> Basis68:
    """Arrays `u_base`, `w_shp_base`, `w_exp_base` of an `.npz`.

    Raises:
        WeightError: arrays of other names or sizes.
    """
    expected = {"u_base": (204, 1), "w_shp_base": (204, 40), "w_exp_base": (204, 10)}
    with np.load(path, allow_pickle=False) as stored:
        held = {name: stored[name] for name in stored.files}
    shapes = {name: array.shape for name, array in held.items()}
    if shapes != expected:
        raise WeightError(f"{path.name} has {shapes}; {expected} are expected")
    return Basis68(*(held[name].astype(np.float32) for name in expected))


def landmarks68(
    parameters: Float32[np.ndarray, "frames 62"],
    rois: Float[np.ndarray, "frames 4"],
    basis: Basis68,
) -> Float32[np.ndarray, "frames 68 3"]:
    """The 68 points in pixels of the frame: x right, y down, z towards the camera, least z 0."""
    affine = parameters[:, POSE].reshape(-1, 3, 4)
    face = basis.mean[:, 0] + parameters[:, SHAPE] @ basis.shape.T
    face = (face + parameters[:, EXPRESSION] @ basis.expression.T).reshape(-1, LANDMARKS, 3)
    points = face @ affine[:, :, :3].transpose(0, 2, 1) + affine[:, None, :, 3]
    # the model's picture starts at 1 and its y axis points up
    points = points - np.array([1, 0, 1], np.float32)
    points[..., 1] = SIDE - points[..., 1]
    scale = ((rois[:, 2:] - rois[:, :2]) / SIDE)[:, None]
    points[..., :2] = points[..., :2] * scale + rois[:, None, :2]
    points[..., 2] *= scale.mean(axis=-1)
    points[..., 2] -= points[..., 2].min(axis=1, keepdims=True)
    return points.astype(np.float32)


def visible(landmarks: Float32[np.ndarray, "frames points 3"]) -> Bool[np.ndarray, " frames"]:
    """Frames in which a face was found."""
    return np.isfinite(landmarks[:, 0, 0])
