"""How close a rendered head is to the true frame: PSNR and SSIM on the head, landmark distance.

Always against held-out frames, and beside two honest baselines: the nearest training frame by pose
and expression, and the mean training frame.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from skimage.metrics import structural_similarity

from render.backdrop import background_plate
from render.errors import HeadDataError
from render.head import Head
from render.head_data import HeadData
from render.masks import MOUTH, head_mask, members

MOUTH_LANDMARKS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 78, 13, 308, 14, 0)
"""Face-mesh indices around and inside the lips."""


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


@dataclass(frozen=True)
class HeadScore:
    """Means over held-out frames, at the dataset's size."""

    frames: int
    psnr: float
    """Of the masked head over the true surroundings, dB."""
    ssim: float
    """Of the head's bounding box."""
    nearest_psnr: float
    """Baseline: the training frame nearest in pose and expression."""
    nearest_ssim: float
    mean_psnr: float
    """Baseline: the mean training frame."""
    mean_ssim: float
    opacity_error: float
    """Mean absolute difference of opacity and mask."""
    mouth_psnr: float
    """Of lips and mouth inside; NaN where a frame shows none."""
    nearest_mouth_psnr: float
    """Baseline: the nearest training frame's."""

    def record(self) -> dict[str, float]:
        """JSON-able."""
        return {k: round(float(v), 4) for k, v in asdict(self).items()}


def score_head(head: Head, data: HeadData, frames: int = 20) -> HeadScore:
    """Render held-out frames evenly chosen and hold them against the truth.

    Raises:
        HeadDataError: nothing was held out.
    """
    test, train = data.held_out(), data.training()
    if len(test.frames) == 0:
        raise HeadDataError("metrics: no usable held-out frame; hold out a clip (hold_out)")
    rows = np.linspace(0, len(test.frames) - 1, min(frames, len(test.frames))).astype(int)
    mean = train.frames.mean(0, dtype=np.float64).astype(np.float32) / np.float32(255)
    plate = as_float(background_plate(train))
    mouth = members(MOUTH)
    table = []
    for i in rows:
        truth = as_float(test.frames[i])
        mask = head_mask(test.labels[i])
        rgb, opacity = head.render(test.cameras[i], test.alpha[i], data.size)
        # Around the head the truth; under it the plate, so that a hole or a thin edge is paid for.
        under = np.where(mask[..., None], plate, truth)
        image = rgb + (1 - opacity[..., None]) * under
        near = as_float(train.frames[nearest_frame(train, test.cameras[i], test.alpha[i])])
        row = [psnr(image, truth, mask), ssim(image, truth, mask)]
        row += [psnr(near, truth, mask), ssim(near, truth, mask)]
        row += [psnr(mean, truth, mask), ssim(mean, truth, mask)]
        row += [float(np.abs(opacity - mask).mean()), psnr(image, truth, mouth[test.labels[i]])]
        row += [psnr(near, truth, mouth[test.labels[i]])]
        table.append(row)
    means = np.nanmean(table, 0)
    return HeadScore(len(rows), *[float(v) for v in means])


def nearest_frame(
    train: HeadData, camera: Float[np.ndarray, "3 4"], alpha: Float[np.ndarray, " k"]
) -> int:
    """Row of the training frame nearest in pose and α, each scaled by its spread."""
    poses = train.cameras.reshape(len(train.cameras), -1)
    spread = poses.std(0) + 1e-6
    pose = (((poses - camera.reshape(-1)) / spread) ** 2).mean(1)
    expression = ((train.alpha - alpha) ** 2).mean(1)
    return int(np.argmin(pose + expression))


def as_float(frame: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """0-255 to [0, 1]."""
    return frame.astype(np.float32) / np.float32(255)
