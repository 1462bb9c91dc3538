"""SyncNet: do lips and sound belong together, and which comes first (LSE-C, LSE-D, offset).

J. S. Chung, A. Zisserman, "Out of time: automated lip sync in the wild", 2016. The network has the
keys of `syncnet_v2.model` (joonson/syncnet_python, SyncNetModel.py at 5befaa3); distances and
confidence are those of its SyncNetInstance.py. Their face tracker is not part of it: `mouth_crops`
cuts from landmarks the square their pipeline cuts from a detector's box.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import nn

from pipeline.clock import SAMPLES_PER_FRAME
from pipeline.weights import Shelf
from render.errors import MetricError
from render.metrics.loading import fill_counted, shelved, state_of
from render.metrics.mfcc import mfcc

WINDOW = 5
"""Frames the network looks at; with 20 steps of 10 ms of sound."""
REACH = 15
"""Shifts tried to either side, frames."""
SIDE = 224
_MARGIN = 0.4
_BATCH = 16


def _conv(*sizes: int, **how: object) -> list[nn.Module]:
    made = nn.Conv2d(*sizes, **how)  # type: ignore[arg-type]
    return [made, nn.BatchNorm2d(sizes[1]), nn.ReLU()]


def _conv3(*sizes: object, **how: object) -> list[nn.Module]:
    made = nn.Conv3d(*sizes, **how)  # type: ignore[arg-type]
    return [made, nn.BatchNorm3d(made.out_channels), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


class SyncNet(nn.Module):
    """Two towers into one space of 1024 numbers."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_conv(1, 64, 3, padding=1),
            nn.MaxPool2d(1, 1),
            *_conv(64, 192, 3, padding=1),
            nn.MaxPool2d(3, (1, 2)),
            *_conv(192, 384, 3, padding=1),
            *_conv(384, 256, 3, padding=1),
            *_conv(256, 256, 3, padding=1),
            nn.MaxPool2d(3, 2),
            *_conv(256, 512, kernel_size=(5, 4)),
        )
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_conv3(3, 96, (5, 7, 7), stride=(1, 2, 2)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3(96, 256, (1, 5, 5), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), padding=(0, 1, 1)),
            *_conv3(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_conv3(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_conv3(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3(256, 512, (1, 6, 6)),
        )

    def hear(self, sound: Float[torch.Tensor, "n 1 13 20"]) -> Float[torch.Tensor, "n 1024"]:
        """Cepstra to the common space."""
        return self.netfcaud(self.netcnnaud(sound).flatten(1))

    def see(self, lips: Float[torch.Tensor, "n 3 5 224 224"]) -> Float[torch.Tensor, "n 1024"]:
        """Faces (BGR, 0-255) to the common space."""
        return self.netfclip(self.netcnnlip(lips).flatten(1))


@dataclass(frozen=True)
class Sync:
    """What SyncNet says of one video."""

    confidence: float
    """LSE-C: the median over shifts less the smallest."""
    distance: float
    """LSE-D: the smallest mean distance."""
    offset: int
    """Frames the sound must be moved later to fit best; positive: the sound comes early."""
    windows: int


def load_syncnet(shelf: Shelf) -> tuple[SyncNet, str]:
    """The network, and its hash for the record.

    Raises:
        MetricError: the weights are not there.
        WeightError: a file of another network.
    """
    folder, told = shelved(shelf, "syncnet", "syncnet")
    network = SyncNet()
    fill_counted(network, state_of(folder, "*.model", "*.pth"), "syncnet")
    return network, told


def sync_of_distances(
    lips: Float[np.ndarray, "windows dim"], sound: Float[np.ndarray, "windows dim"]
) -> Sync:
    """Confidence, distance and offset of embeddings of the same windows.

    For each shift the mean over windows of |lips_i − sound_{i+shift}|; beyond the ends the sound
    is 0, as in the authors' code (which adds 1e-6 to each difference; so does this).
    """
    padded = np.pad(sound, ((REACH, REACH), (0, 0)))
    means = np.array(
        [
            np.linalg.norm(lips - padded[shift : shift + len(lips)] + 1e-6, axis=1).mean()
            for shift in range(2 * REACH + 1)
        ]
    )
    best = int(means.argmin())
    # torch.median of an odd count: the middle one, as numpy's
    return Sync(float(np.median(means) - means[best]), float(means[best]), REACH - best, len(lips))


def mouth_crops(
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    landmarks: Float[np.ndarray, "frames mesh 3"],
) -> UInt8[np.ndarray, "frames 3 224 224"]:
    """The squares SyncNet sees, BGR: the face box with 40 % more to the sides and below.

    The box of each frame (median-filtered over 13 frames, as theirs) is that of its landmarks.

    Raises:
        MetricError: a frame without a face: their tracks have no gap either.
    """
    seen = np.isfinite(landmarks[:, 0, 0])
    if not seen.all():
        raise MetricError(
            f"no face in {int((~seen).sum())} of {len(seen)} frames; SyncNet needs a face in all"
        )
    low, high = landmarks[..., :2].min(1), landmarks[..., :2].max(1)
    half = _steady((high - low).max(1) / 2)
    x, y = _steady((low[:, 0] + high[:, 0]) / 2), _steady((low[:, 1] + high[:, 1]) / 2)
    out = np.empty((len(landmarks), 3, SIDE, SIDE), np.uint8)
    for row, frame, h, cx, cy in zip(out, frames, half, x, y, strict=True):
        pad = int(h * (1 + 2 * _MARGIN))
        padded = np.pad(frame, ((pad, pad), (pad, pad), (0, 0)), constant_values=110)
        top, bottom = int(cy + pad - h), int(cy + pad + h * (1 + 2 * _MARGIN))
        left, right = int(cx + pad - h * (1 + _MARGIN)), int(cx + pad + h * (1 + _MARGIN))
        face = padded[max(top, 0) : bottom, max(left, 0) : right, ::-1]
        if face.size == 0:
            raise MetricError("the face lies outside the picture")
        row[:] = cv2.resize(np.ascontiguousarray(face), (SIDE, SIDE)).transpose(2, 0, 1)
    return out


def _steady(track: Float[np.ndarray, " frames"]) -> Float[np.ndarray, " frames"]:
    from scipy.ndimage import median_filter

    return median_filter(track, size=13, mode="nearest")


def measure_sync(
    network: SyncNet,
    faces: UInt8[np.ndarray, "frames 3 224 224"],
    sound: Float[np.ndarray, " samples"],
) -> Sync:
    """Embed every window of 5 frames and its 0.2 s of sound, and compare.

    Args:
        network: the two towers.
        faces: `mouth_crops`.
        sound: 16 kHz in [-1, 1], 640 samples a frame.

    Raises:
        MetricError: fewer frames than a window takes, or sound of another length.
    """
    if len(sound) != len(faces) * SAMPLES_PER_FRAME:
        raise MetricError(
            f"{len(faces)} frames want {len(faces) * SAMPLES_PER_FRAME} samples, got {len(sound)}"
        )
    windows = len(faces) - WINDOW
    if windows < 1:
        raise MetricError(f"{len(faces)} frames; SyncNet's windows take at least {WINDOW + 1}")
    cepstra = mfcc(np.round(sound.astype(np.float64) * 32768)).T.astype(np.float32)
    lips, heard = [], []
    with torch.inference_mode():
        for start in range(0, windows, _BATCH):
            at = range(start, min(start + _BATCH, windows))
            pictures = np.stack([faces[i : i + WINDOW].swapaxes(0, 1) for i in at])
            waves = np.stack([cepstra[None, :, 4 * i : 4 * i + 20] for i in at])
            lips.append(network.see(torch.from_numpy(pictures.astype(np.float32))).numpy())
            heard.append(network.hear(torch.from_numpy(waves)).numpy())
    return sync_of_distances(np.concatenate(lips), np.concatenate(heard))
