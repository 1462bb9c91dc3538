"""Shape of a face, read off a picture by 3DDFA's regressor, with gradients to the picture."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from pipeline.errors import WeightError
from pipeline.face.ddfa_net import MobileNet, regressor
from pipeline.face.ddfa_params import SHAPE, SIDE, read_statistics, roi_of_box
from pipeline.weights import Shelf

FACE = (1, 2, 3, 4, 5, 10, 11, 12, 13)
"""Parsing labels a face detector would put its box around."""


class ShapeReader:
    """Regressor and statistics on a device."""

    def __init__(self, network: MobileNet, std: np.ndarray, device: torch.device) -> None:
        """std: standard deviation of the 62 parameters (the mean falls out of a difference)."""
        self.network = network.to(device).requires_grad_(False)
        self.std = torch.from_numpy(std[SHAPE].astype(np.float32)).to(device)

    @staticmethod
    def of(name: str, shelf: Shelf, device: torch.device) -> "ShapeReader":
        """The weights of that name on the shelf.

        Raises:
            WeightError: they are not there, or not PyTorch's.
        """
        folder = shelf.open(name, "3ddfa")
        pth = sorted(folder.glob("*.pth"))
        if not pth:
            raise WeightError(
                f"{name} on the shelf is ONNX, gradients need .pth: `emohead weights add {name} "
                "PATH`"
            )
        statistics = read_statistics(next(folder.glob("*.npz")))
        return ShapeReader(regressor(pth[0]), statistics.std, device)

    def read(
        self, picture: Float[Tensor, "3 s s"], roi: Float[np.ndarray, "4"]
    ) -> Float[Tensor, " 40"]:
        """Shape in the face model's units, up to its mean. The picture is RGB in [0, 1], the square
        (left, top, right, bottom) in its pixels; outside the picture it is black, as in 3DDFA."""
        size = picture.shape[1]
        steps = (torch.arange(SIDE, device=picture.device) + 0.5) / SIDE
        left, top, right, bottom = (float(v) for v in roi)
        x = (left + steps * (right - left)) / size * 2 - 1
        y = (top + steps * (bottom - top)) / size * 2 - 1
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None].to(picture.dtype)
        crop = functional.grid_sample(picture[None], grid, align_corners=False)
        bgr = (crop.flip(1) * 255 - 127.5) / 128
        return self.network(bgr)[0, SHAPE] * self.std


def face_square(labels: UInt8[np.ndarray, "s s"]) -> Float[np.ndarray, "4"] | None:
    """The square 3DDFA would read, from the parsed face; None where no face was parsed."""
    mask = np.isin(labels, FACE)
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)
    return roi_of_box(box)
