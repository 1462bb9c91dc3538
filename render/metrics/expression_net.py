"""The judge of ER that is small enough to be at hand: face-api.js' expression net.

justadudewhohacks/face-api.js, `faceExpressionNet` (MIT): four dense blocks of separable
convolutions, 7 classes. Its weights come as bytes with a manifest that says how they were
quantised; here they are unpacked and run by PyTorch.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch.nn import functional

from pipeline.errors import WeightError
from pipeline.weights import Shelf
from render.errors import MetricError
from render.metrics.loading import shelved

CLASSES = ("neutral", "happy", "sad", "angry", "fear", "disgusted", "surprised")
"""Order of the outputs, by emohead's tags."""
SIDE = 112
_MEAN = (122.782, 117.001, 104.298)
_WIDTHS = (32, 64, 128, 256)
_BOX = 1.15
"""Side of the square over the longer side of the landmarks' box: a detector's box is roomier."""


def unpack(manifest: Path, data: Path) -> dict[str, np.ndarray]:
    """Tensors by name from TensorFlow.js' manifest and bytes.

    A quantised value q stands for q · scale + min.

    Raises:
        WeightError: the bytes are not as many as the manifest says.
    """
    listed = json.loads(manifest.read_text("utf-8"))[0]["weights"]
    raw, at, out = data.read_bytes(), 0, {}
    for entry in listed:
        squeezed = entry.get("quantization")
        kind = np.dtype(squeezed["dtype"] if squeezed else entry["dtype"]).newbyteorder("<")
        count = int(np.prod(entry["shape"]))
        if at + count * kind.itemsize > len(raw):
            raise WeightError(
                f"{data.name} has {len(raw)} bytes; {entry['name']} ends at "
                f"{at + count * kind.itemsize}"
            )
        values = np.frombuffer(raw, kind, count, at).astype(np.float32)
        at += count * kind.itemsize
        if squeezed:
            values = values * np.float32(squeezed["scale"]) + np.float32(squeezed["min"])
        out[entry["name"]] = values.reshape(entry["shape"])
    if at != len(raw):
        raise WeightError(f"{data.name} has {len(raw)} bytes, its manifest accounts for {at}")
    return out


class ExpressionNet:
    """Faces, 112 px RGB, to seven probabilities."""

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        """tensors: as `unpack` gives them: filters (height, width, in, out).

        Raises:
            WeightError: a tensor is missing or has another shape.
        """
        self._layers: dict[str, torch.Tensor] = {}
        for name, shape in _shapes().items():
            if name not in tensors or tensors[name].shape != shape:
                found = tensors[name].shape if name in tensors else "nothing"
                raise WeightError(f"face_api: {name} is {found}, expected {shape}")
            array = torch.from_numpy(np.ascontiguousarray(tensors[name]))
            if name.endswith("depthwise_filter"):
                array = array.permute(2, 3, 0, 1)  # (in, 1, h, w)
            elif array.ndim == 4:
                array = array.permute(3, 2, 0, 1)  # (out, in, h, w)
            self._layers[name] = array.contiguous()

    def __call__(self, faces: UInt8[np.ndarray, "n 112 112 3"]) -> Float[np.ndarray, "n 7"]:
        """Probabilities in the order of `CLASSES`."""
        x = torch.from_numpy(np.ascontiguousarray(faces)).permute(0, 3, 1, 2).float()
        x = (x - torch.tensor(_MEAN)[:, None, None]) / 255
        with torch.inference_mode():
            for block in range(4):
                x = self._dense(x, block)
            x = functional.avg_pool2d(x, 7, 2).flatten(1)
            x = x @ self._layers["fc/weights"] + self._layers["fc/bias"]
            return torch.softmax(x, 1).numpy()

    def _dense(self, x: torch.Tensor, block: int) -> torch.Tensor:
        if block == 0:
            first = functional.conv2d(
                _padded(x, 2), self._layers["dense0/conv0/filters"], None, stride=2
            )
            first = first + self._layers["dense0/conv0/bias"][:, None, None]
        else:
            first = self._separable(x, f"dense{block}/conv0", 2)
        total = first = functional.relu(first)
        for layer in (1, 2, 3):
            made = self._separable(total, f"dense{block}/conv{layer}", 1)
            first = first + made
            total = functional.relu(first)
        return total

    def _separable(self, x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        deep = self._layers[f"{name}/depthwise_filter"]
        x = functional.conv2d(_padded(x, stride), deep, None, stride, groups=len(deep))
        x = functional.conv2d(x, self._layers[f"{name}/pointwise_filter"])
        return x + self._layers[f"{name}/bias"][:, None, None]


def _padded(x: torch.Tensor, stride: int) -> torch.Tensor:
    """TensorFlow's `same` padding of a 3 px filter: at stride 2 and even sides, right and below."""
    return functional.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    before = 3
    for block, width in enumerate(_WIDTHS):
        for layer in range(4):
            name, inside = f"dense{block}/conv{layer}", before if layer == 0 else width
            if (block, layer) == (0, 0):
                shapes[f"{name}/filters"] = (3, 3, 3, width)
            else:
                shapes[f"{name}/depthwise_filter"] = (3, 3, inside, 1)
                shapes[f"{name}/pointwise_filter"] = (1, 1, inside, width)
            shapes[f"{name}/bias"] = (width,)
        before = width
    return shapes | {"fc/weights": (256, 7), "fc/bias": (7,)}


def load_expression_net(shelf: Shelf) -> tuple[ExpressionNet, str]:
    """The network, and its hashes for the record.

    Raises:
        MetricError: the weights are not there.
        WeightError: files of another network.
    """
    folder, told = shelved(shelf, "face_api", "face_api")
    manifest = folder / "face_expression_model-weights_manifest.json"
    data = next(p for p in sorted(folder.glob("face_expression_model*")) if p.suffix != ".json")
    return ExpressionNet(unpack(manifest, data)), told


def face_squares(
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    landmarks: Float[np.ndarray, "frames mesh 3"],
) -> UInt8[np.ndarray, "n 112 112 3"]:
    """The square round the face of every frame that shows one; beyond the picture it is black.

    Raises:
        MetricError: no frame shows a face.
    """
    out = []
    for frame, points in zip(frames, landmarks, strict=True):
        if not np.isfinite(points[0, 0]):
            continue
        low, high = points[:, :2].min(0), points[:, :2].max(0)
        side = float((high - low).max()) * _BOX
        x, y = (low + high) / 2 - side / 2
        scale = SIDE / side
        turn = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]], np.float64)
        out.append(cv2.warpAffine(frame, turn, (SIDE, SIDE), flags=cv2.INTER_AREA))
    if not out:
        raise MetricError(f"no face in any of {len(landmarks)} frames")
    return np.stack(out).astype(np.uint8)


def recognised(
    network: ExpressionNet, faces: UInt8[np.ndarray, "n 112 112 3"], wanted: str
) -> float:
    """ER: per cent of frames in which the wanted emotion is the most probable one.

    Raises:
        MetricError: the network has no such class.
    """
    if wanted not in CLASSES:
        raise MetricError(f"the judge knows {', '.join(CLASSES)}; not {wanted!r}")
    votes = np.concatenate([network(faces[i : i + 32]).argmax(1) for i in range(0, len(faces), 32)])
    return float(100 * (votes == CLASSES.index(wanted)).mean())
