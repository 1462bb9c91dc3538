"""BiSeNet's weights in 8 bits, and how far its masks then agree with those of the original.

Ranges come from frames of one's own clips; agreement is measured on frames of *other* clips.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from pipeline.errors import WeightError
from pipeline.face.bisenet import network_input, runner
from pipeline.face.bisenet_net import CLASSES, SIDE, parser
from pipeline.face.labels import LABELS
from pipeline.onnx_export import onnx_of
from pipeline.quantise import activation_ranges, folded

FILE = "79999_iter.onnx"
"""Name under which the shelf knows such a file."""
LEAST_SHARE = 1e-4
"""Share of all pixels below which a label's agreement says nothing."""
_IN_FLOAT = ("conv_out.conv_out",)
"""The scores themselves: 1 % of the arithmetic, and labels hang on their differences."""
_SHAPES = ((3, SIDE, SIDE), (CLASSES, SIDE, SIDE))


@dataclass(frozen=True)
class Agreement:
    """Two networks' masks of the same frames."""

    iou: dict[str, float]
    """Intersection over union by label, of those that cover a ten-thousandth of the pixels."""
    pixels: float
    """Share of pixels with the same label."""
    frames: int

    @property
    def mean(self) -> float:
        """Mean over labels."""
        return float(np.mean(list(self.iou.values())))

    def text(self) -> str:
        """In words, worst label first."""
        ordered = sorted(self.iou.items(), key=lambda item: item[1])
        several = ", ".join(f"{label} {value:.3f}" for label, value in ordered)
        return f"IoU {self.mean:.4f} over {self.frames} frames ({several})"


def quantised(weights: Path, frames: Sequence[UInt8[np.ndarray, "size size 3"]]) -> bytes:
    """The network of a published `.pth` as an ONNX file of 8-bit convolutions.

    Raises:
        WeightError: the file holds another network, or there is no frame.
    """
    network = folded(parser(weights))
    ranges = activation_ranges(network, map(network_input, frames), _IN_FLOAT)
    return onnx_of(network, *_SHAPES, ranges)


def agreement(
    weights: Path, integer: Path | bytes, frames: Sequence[UInt8[np.ndarray, "size size 3"]]
) -> Agreement:
    """How far the masks of an 8-bit file agree with those of the `.pth` it was made from.

    Raises:
        WeightError: there is no frame, or OpenVINO is not installed.
    """
    if not frames:
        raise WeightError("agreement of two networks is measured on frames; none was given")
    original = runner(onnx_of(parser(weights), *_SHAPES), "onnxruntime")
    quick = runner(integer, "openvino")
    together = np.zeros((CLASSES, CLASSES), np.int64)
    for frame in frames:
        x = network_input(frame)
        one, other = (run(x)[0].argmax(axis=0).ravel() for run in (original, quick))
        together += np.bincount(one * CLASSES + other, minlength=CLASSES**2).reshape(
            CLASSES, CLASSES
        )
    return _agreement(together, len(frames))


def _agreement(together: Int64[np.ndarray, "labels labels"], frames: int) -> Agreement:
    both = np.diag(together)
    either = together.sum(axis=0) + together.sum(axis=1) - both
    seen = either > LEAST_SHARE * together.sum()
    iou = {LABELS[i]: float(both[i] / either[i]) for i in np.flatnonzero(seen)}
    return Agreement(iou, float(both.sum() / together.sum()), frames)
