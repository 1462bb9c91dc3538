"""DECA: expression, jaw, shape and pose of the FLAME head model, read off every frame by itself.

Feng et al., SIGGRAPH 2021 (arXiv 2012.04012). The coarse encoder alone, written anew; geometry and
order of the parameters after
https://github.com/yfeng95/DECA/tree/11c4d44adc5346c50f7aa77589bc98ebb55dfb52/decalib
(deca.py, models/encoders.py, datasets/datasets.py, utils/config.py). EMOdiffhead takes its
expression vectors from it. The weights need a registration; no FLAME file is needed for these
numbers.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from pipeline.encoder import VIDEO, ClipInputs, identity_of
from pipeline.errors import ProfileError, WeightError
from pipeline.face.ddfa_params import IBUG68, visible
from pipeline.features import FeatureSpec
from pipeline.weights.registry import Kind
from pipeline.weights.shelf import Shelf

SIDE = 224
"""Pixels of the square the network looks at."""
WIDTHS = {"shape": 100, "tex": 50, "exp": 50, "pose": 6, "cam": 3, "light": 27}
"""Parameters in the order in which they come out; `pose` is neck, then jaw, as axis-angles."""
PARAMETERS = sum(WIDTHS.values())
EXPRESSION = WIDTHS["exp"] + 3
"""50 coefficients and the jaw's rotation: what a face does, without where the head looks."""

NAN = float("nan")


@dataclass(frozen=True)
class DecaConfig:
    """Which network, which square."""

    weights: str = "deca"
    """Name on the shelf."""
    scale: float = 1.25
    """Side of the square over 1.1 times the mean side of the landmarks' box, as the original's
    reader of pictures has it (it was trained on squares of 1.4 to 1.8 times a box)."""
    batch: int = 16
    """Frames a pass; changes how, never what."""

    def __post_init__(self) -> None:
        """A square has a side, and a pass needs a frame."""
        if not self.scale > 0:
            raise ProfileError(f"deca.scale = {self.scale}; give more than 0 (original: 1.25)")
        if self.batch < 1:
            raise ProfileError(f"deca.batch = {self.batch}; at least 1 is needed")


class DecaEncoder:
    """expression/deca (50 + 3 of the jaw, radians), shape/deca, pose/deca, face/deca_square.

    `pose/deca` is the head's rotation (axis-angle, radians) and the camera (scale, x, y) of a
    weak perspective in the square; the square is its centre and side, pixels of the frame.
    """

    name = "deca"
    version = "1"
    inputs = (VIDEO, "face/landmarks")
    outputs = (
        FeatureSpec("expression/deca", (EXPRESSION,), "float32", NAN),
        FeatureSpec("shape/deca", (WIDTHS["shape"],), "float32", NAN),
        FeatureSpec("pose/deca", (6,), "float32", NAN),
        FeatureSpec("face/deca_square", (3,), "float32", NAN),
    )

    def __init__(self, config: DecaConfig | None = None, shelf: Shelf | None = None) -> None:
        """Loads nothing yet; `shelf` None: the usual one."""
        self.config = config or DecaConfig()
        self.shelf = shelf or Shelf.usual()

    @staticmethod
    def needs(config: DecaConfig) -> tuple[tuple[str, Kind], ...]:
        """Weights by name and kind."""
        return ((config.weights, "deca"),)

    def identity(self) -> dict[str, Any]:
        """Settings and the network's hash."""
        files = self.shelf.hashes(self.config.weights, "deca")
        identity = identity_of(self.name, self.version, self.config, files)
        del identity["config"]["batch"]
        return identity

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """Numbers of every frame with a face; NaN in the others."""
        video, landmarks = inputs.video(), inputs.features["face/landmarks"]
        seen = visible(landmarks)
        points = landmarks[seen][:, IBUG68, :2].astype(np.float64)
        squares = squares_of(points, self.config.scale)
        network = _network(self.shelf, self.config.weights)
        parameters = np.full((len(video), PARAMETERS), np.nan, np.float32)
        parameters[seen] = _read(network, video[seen], squares, self.config.batch)
        square = np.full((len(video), 3), np.nan, np.float32)
        square[seen] = squares
        parts = parts_of(parameters)
        return {
            "expression/deca": np.concatenate([parts["exp"], parts["pose"][:, 3:]], axis=1),
            "shape/deca": parts["shape"],
            "pose/deca": np.concatenate([parts["pose"][:, :3], parts["cam"]], axis=1),
            "face/deca_square": square,
        }


def parts_of(
    parameters: Float32[np.ndarray, "frames parameters"],
) -> dict[str, Float32[np.ndarray, "frames _"]]:
    """The network's output by name."""
    ends = np.cumsum(list(WIDTHS.values()))[:-1]
    return dict(zip(WIDTHS, np.split(parameters, ends, axis=1), strict=True))


def squares_of(
    points: Float[np.ndarray, "frames 68 2"], scale: float
) -> Float[np.ndarray, "frames 3"]:
    """Centre and side, whole pixels, of the square for 68 landmarks."""
    low, high = points.min(axis=1), points.max(axis=1)
    side = np.floor((high - low).mean(axis=1) * 1.1 * scale)
    return np.column_stack([(low + high) / 2, side])


def cropped(
    frame: UInt8[np.ndarray, "height width 3"], square: Float[np.ndarray, "3"]
) -> Float32[np.ndarray, "224 224 3"]:
    """The square of a frame, 0 to 1, black where it leaves it; its edges become pixels 0, 223."""
    across, down, side = (float(v) for v in square)
    zoom = (SIDE - 1) / side
    matrix = np.array(
        [[zoom, 0, -zoom * (across - side / 2)], [0, zoom, -zoom * (down - side / 2)]]
    )
    picture = frame.astype(np.float32) / 255
    return cv2.warpAffine(picture, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)


def _read(
    network: Any,
    frames: UInt8[np.ndarray, "frames height width 3"],
    squares: np.ndarray,
    batch: int,
) -> Float32[np.ndarray, "frames parameters"]:
    import torch

    out = np.empty((len(frames), PARAMETERS), np.float32)
    for start in range(0, len(frames), batch):
        part = slice(start, start + batch)
        crops = [cropped(f, s) for f, s in zip(frames[part], squares[part], strict=True)]
        pictures = torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2).copy())
        with torch.inference_mode():
            out[part] = network(pictures).numpy()
    return out


@cache
def _network(shelf: Shelf, name: str) -> Any:
    return coarse_encoder(next(shelf.open(name, "deca").glob("*.tar")))


def coarse_encoder(path: Path) -> Any:
    """`E_flame` of a published checkpoint, in evaluation mode.

    Raises:
        WeightError: a file without it, or with another network under its name.
    """
    from torch import nn

    from pipeline.face.resnet import ResNet50
    from pipeline.weights.loading import fill, torch_state

    state = torch_state(path, inner=("E_flame",))
    if "layers.2.weight" not in state:
        raise WeightError(
            f"{path.name} has no E_flame with layers.2.weight; it has {', '.join(list(state)[:3])}"
        )
    names = {"encoder.": "0.", "layers.": "1."}
    network = nn.Sequential(
        ResNet50(), nn.Sequential(nn.Linear(2048, 1024), nn.ReLU(), nn.Linear(1024, PARAMETERS))
    )
    # The published file carries a classifier that serves nothing here.
    kept = {key: value for key, value in state.items() if not key.startswith("encoder.fc.")}
    for old, new in names.items():
        kept = {new + k.removeprefix(old) if k.startswith(old) else k: v for k, v in kept.items()}
    fill(network, kept, path.name)
    return network.eval()
