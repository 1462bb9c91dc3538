"""How close a rendered head is to the true frame: PSNR and SSIM on the head.

Always against held-out frames, and beside two honest baselines: the nearest training frame by pose
and expression, and the mean training frame.
"""

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

from render.backdrop import background_plate
from render.errors import HeadDataError
from render.head import Head
from render.head_data import HeadData
from render.masks import MOUTH, head_mask, members
from render.metrics.pictures import as_float, psnr, ssim


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
