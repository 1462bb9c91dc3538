"""Face parsing by BiSeNet: the paper's 19 classes for every pixel."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from pipeline.encoder import VIDEO, ClipInputs, identity_of
from pipeline.errors import ProfileError, WeightError
from pipeline.face import labels
from pipeline.features import FeatureSpec
from pipeline.weights.registry import Kind
from pipeline.weights.shelf import Shelf

Runtime = Literal["onnxruntime", "openvino", "torch"]
Run = Callable[[Float32[np.ndarray, "frames 3 512 512"]], Float32[np.ndarray, "frames 19 512 512"]]

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class BisenetConfig:
    """Which network, run how."""

    size: int = 256
    """Side of the label pictures: that of the frames, pixels."""
    weights: str = "bisenet"
    """Name on the shelf."""
    runtime: Runtime = "onnxruntime"
    """On a CPU ONNX Runtime is fastest in floating point, OpenVINO with weights in 8 bits
    (`emohead weights quantise bisenet`)."""

    def __post_init__(self) -> None:
        """There are three ways to run."""
        if self.runtime not in get_args(Runtime):
            raise ProfileError(
                f"bisenet.runtime = {self.runtime!r}; there are {', '.join(get_args(Runtime))}"
            )


class BisenetEncoder:
    """parsing/bisenet: CelebAMask-HQ labels 0-18 per pixel, of every frame with or without a face.

    A frame is enlarged (or reduced) to the 512 pixels the network was trained on; of the labels
    there, each pixel of the frame gets the one at its centre.
    """

    name = "bisenet"
    version = "1"
    inputs = (VIDEO,)

    def __init__(self, config: BisenetConfig | None = None, shelf: Shelf | None = None) -> None:
        """`config.size` must be that of the frames; `shelf` None: the usual one."""
        self.config = config or BisenetConfig()
        self.shelf = shelf or Shelf.usual()
        shape = (self.config.size, self.config.size)
        self.outputs = (
            FeatureSpec("parsing/bisenet", shape, "uint8", labels.UNKNOWN, codec="labels"),
        )

    @staticmethod
    def needs(config: BisenetConfig) -> tuple[tuple[str, Kind], ...]:
        """Weights by name and kind."""
        return ((config.weights, "bisenet"),)

    @staticmethod
    def libraries(config: BisenetConfig) -> tuple[str, ...]:
        """Modules that emohead installs on demand."""
        return () if config.runtime == "torch" else (config.runtime,)

    def identity(self) -> dict[str, Any]:
        """Settings and the network's hash."""
        files = self.shelf.hashes(self.config.weights, "bisenet")
        return identity_of(self.name, self.version, self.config, files)

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """One label picture a frame; a batch of one, larger ones gain nothing on a CPU."""
        run = _network(self.shelf, self.config.weights, self.config.runtime)
        video = inputs.video()
        parsed = np.empty(video.shape[:3], np.uint8)
        for label, frame in zip(parsed, video, strict=True):
            label[:] = back_to(len(frame), run(network_input(frame))[0])
        return {"parsing/bisenet": parsed}


def network_input(
    frame: UInt8[np.ndarray, "size size 3"],
) -> Float32[np.ndarray, "1 3 512 512"]:
    """Enlarged bilinearly, in units of ImageNet's deviations, channels first."""
    from pipeline.face.bisenet_net import SIDE

    shrinks = len(frame) > SIDE
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    large = cv2.resize(frame, (SIDE, SIDE), interpolation=how).astype(np.float32) / 255
    return np.ascontiguousarray(((large - _MEAN) / _STD).transpose(2, 0, 1)[None])


def back_to(
    size: int, scores: Float32[np.ndarray, "classes side side"]
) -> UInt8[np.ndarray, "size2 size2"]:
    """The best label of each pixel (of equals the first), at the frame's size."""
    # class by class: numpy's argmax over the first axis takes three times as long
    highest, best = scores[0].copy(), np.zeros(scores.shape[1:], np.uint8)
    for label in range(1, len(scores)):
        np.putmask(best, scores[label] > highest, label)
        np.maximum(highest, scores[label], out=highest)
    return cv2.resize(best, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)


@cache
def _network(shelf: Shelf, name: str, runtime: Runtime) -> Run:
    from pipeline.face.bisenet_net import CLASSES, SIDE, parser

    folder = shelf.open(name, "bisenet")
    model: Path | bytes | None = next(folder.glob("*.onnx"), None)
    if model is None:
        network = parser(next(folder.glob("*.pth")))
        if runtime == "torch":
            import torch

            def run(pictures: np.ndarray) -> np.ndarray:
                with torch.inference_mode():
                    return network(torch.from_numpy(pictures)).numpy()

            return run
        from pipeline.onnx_export import onnx_of

        model = onnx_of(network, (3, SIDE, SIDE), (CLASSES, SIDE, SIDE))
    return runner(model, runtime)


def runner(model: Path | bytes, runtime: Runtime) -> Run:
    """An ONNX file on one thread.

    Raises:
        WeightError: the run time is not installed, or cannot read the file; PyTorch cannot.
    """
    from pipeline.weights.loading import onnx_session, openvino_model

    if runtime == "torch":
        raise WeightError(
            "bisenet.runtime = torch, but these weights are an .onnx file; PyTorch reads none: "
            "set bisenet.runtime to onnxruntime or openvino"
        )
    if runtime == "openvino":
        return openvino_model(model, threads=1)
    session = onnx_session(model, threads=1)
    first = session.get_inputs()[0].name
    return lambda pictures: session.run(None, {first: pictures})[0]
