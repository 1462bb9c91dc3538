"""How close two pictures are, pixel by pixel: PSNR and SSIM."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from skimage.metrics import structural_similarity

from render.errors import HeadDataError, MetricError

WINDOW = 7
"""Side of SSIM's window in pixels (scikit-image's default; flat weights)."""


def psnr(
    image: Float[np.ndarray, "h w 3"],
    truth: Float[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"] | None = None,
) -> float:
    """-10 log10 of the mean squared error of values in [0, 1], over the mask if one is given.

    NaN for an empty mask.
    """
    error = (image.astype(np.float64) - truth) ** 2
    if mask is not None and not mask.any():
        return float("nan")
    mean = error[mask].mean() if mask is not None else error.mean()
    return float(-10 * np.log10(max(mean, 1e-12)))


def head_box_of(mask: Bool[np.ndarray, "h w"]) -> tuple[slice, slice]:
    """Rows and columns of the mask's bounding box.

    Raises:
        HeadDataError: the mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        raise HeadDataError("metrics: the frame has no head pixel; take usable frames only")
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def ssim(
    image: Float[np.ndarray, "h w 3"],
    truth: Float[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
) -> float:
    """Structural similarity inside the head's bounding box (scikit-image's, 7 px window)."""
    rows, columns = head_box_of(mask)
    value: Any = structural_similarity(
        image[rows, columns].astype(np.float64),
        truth[rows, columns].astype(np.float64),
        channel_axis=2,
        data_range=1.0,
    )
    return float(value)


def whole_ssim(
    image: Float[np.ndarray, "h w 3"],
    truth: Float[np.ndarray, "h w 3"],
) -> float:
    """Structural similarity of two whole pictures with values in [0, 1].

    Raises:
        MetricError: pictures smaller than the window.
    """
    if min(image.shape[:2]) < WINDOW:
        raise MetricError(
            f"SSIM: pictures of {image.shape[1]}x{image.shape[0]} px; its window takes {WINDOW} px"
        )
    value: Any = structural_similarity(
        image.astype(np.float64), truth.astype(np.float64), channel_axis=2, data_range=1.0
    )
    return float(value)


def as_float(frame: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """0-255 to [0, 1]."""
    return frame.astype(np.float32) / np.float32(255)
