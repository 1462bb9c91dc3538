"""3DDFA_V2: shape, pose and expression of a face model, read off every frame by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float32, UInt8

from pipeline.encoder import VIDEO, ClipInputs, identity_of
from pipeline.errors import ProfileError
from pipeline.face import ddfa_params as face
from pipeline.features import FeatureSpec
from pipeline.weights.registry import Kind
from pipeline.weights.shelf import Shelf

Runtime = Literal["onnxruntime", "torch"]
Run = Callable[[Float32[np.ndarray, "frames 3 120 120"]], Float32[np.ndarray, "frames 62"]]

NAN = float("nan")


@dataclass(frozen=True)
class DdfaConfig:
    """Which network, run how."""

    weights: str = "3ddfa_mb05"
    """Name on the shelf; `3ddfa_mb1` is the network of twice the width."""
    runtime: Runtime = "onnxruntime"
    """ONNX Runtime is three times as fast on a CPU; the values agree to 3e-6 deviations."""
    batch: int = 64
    """Frames a pass; changes how, never what."""

    def __post_init__(self) -> None:
        """There are two ways to run, and a pass needs a frame."""
        checked_runtime("ddfa", self.runtime)
        if self.batch < 1:
            raise ProfileError(f"ddfa.batch = {self.batch}; at least 1 is needed")


def checked_runtime(encoder: str, runtime: str) -> None:
    """Refuse a run time that does not exist.

    Raises:
        ProfileError: naming those there are.
    """
    if runtime not in get_args(Runtime):
        raise ProfileError(
            f"{encoder}.runtime = {runtime!r}; there are {', '.join(get_args(Runtime))}"
        )


class DdfaEncoder:
    """expression/3ddfa, shape/3ddfa, pose/3ddfa raw, and the square they were read from.

    The square is that of the original's video mode (sqrt 2 times the box of 68 landmarks), with
    MediaPipe's landmarks of the same frame in place of its own of the frame before: nothing is fed
    back, so a frame's values depend on that frame alone. The landmarks differ by 1-2 % of the
    square's side, the expressions by 0.07-0.08 standard deviations. `pose/3ddfa` is the 3x4 affine
    map into the 120-pixel square; with `face/roi` it leads to pixels of the frame.
    """

    name = "ddfa"
    version = "1"
    inputs = (VIDEO, "face/landmarks")
    outputs = (
        FeatureSpec("expression/3ddfa", (10,), "float32", NAN),
        FeatureSpec("shape/3ddfa", (40,), "float32", NAN),
        FeatureSpec("pose/3ddfa", (12,), "float32", NAN),
        FeatureSpec("face/roi", (4,), "float32", NAN),
    )

    def __init__(self, config: DdfaConfig | None = None, shelf: Shelf | None = None) -> None:
        """Loads nothing yet; `shelf` None: the usual one."""
        self.config = config or DdfaConfig()
        self.shelf = shelf or Shelf.usual()

    @staticmethod
    def needs(config: DdfaConfig) -> tuple[tuple[str, Kind], ...]:
        """Weights by name and kind."""
        return ((config.weights, "3ddfa"),)

    @staticmethod
    def libraries(config: DdfaConfig) -> tuple[str, ...]:
        """Modules that emohead installs on demand."""
        return ("onnxruntime",) if config.runtime == "onnxruntime" else ()

    def identity(self) -> dict[str, Any]:
        """Settings and the network's hash."""
        files = self.shelf.hashes(self.config.weights, "3ddfa")
        identity = identity_of(self.name, self.version, self.config, files)
        del identity["config"]["batch"]
        return identity

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """Numbers of every frame with a face; NaN in the others."""
        video, landmarks = inputs.video(), inputs.features["face/landmarks"]
        seen = face.visible(landmarks)
        points = landmarks[seen][:, face.IBUG68, :2].astype(np.float64)
        rois = face.roi_of_points(points)
        found = regress(self.shelf, self.config, video[seen], rois)
        parameters = np.full((len(video), face.PARAMETERS), np.nan, np.float32)
        parameters[seen] = found
        roi = np.full((len(video), 4), np.nan, np.float32)
        roi[seen] = rois
        return {
            "expression/3ddfa": parameters[:, face.EXPRESSION],
            "shape/3ddfa": parameters[:, face.SHAPE],
            "pose/3ddfa": parameters[:, face.POSE],
            "face/roi": roi,
        }


def regress(
    shelf: Shelf,
    config: DdfaConfig,
    frames: UInt8[np.ndarray, "frames height width 3"],
    rois: np.ndarray,
) -> Float32[np.ndarray, "frames 62"]:
    """Raw parameters of faces in RGB frames, given the square of each.

    Raises:
        WeightError: weights that are missing or changed.
    """
    run, statistics = _network(shelf, config.weights, config.runtime)
    out = np.empty((len(frames), face.PARAMETERS), np.float32)
    for start in range(0, len(frames), config.batch):
        part = slice(start, start + config.batch)
        crops = [face.cropped(f, roi) for f, roi in zip(frames[part], rois[part], strict=True)]
        blue_first = np.stack(crops)[..., ::-1]
        out[part] = statistics.raw(run(face.network_input(blue_first)))
    return out


@cache
def _network(shelf: Shelf, name: str, runtime: Runtime) -> tuple[Run, face.Statistics]:
    folder = shelf.open(name, "3ddfa")
    statistics = face.read_statistics(next(folder.glob("*.npz")))
    ready_made = next(folder.glob("*.onnx"), None)
    if ready_made is not None:
        return _onnx(ready_made), statistics
    from pipeline.face.ddfa_net import regressor

    network = regressor(next(folder.glob("*.pth")))
    if runtime == "onnxruntime":
        from pipeline.onnx_export import onnx_of

        return _onnx(onnx_of(network, (3, face.SIDE, face.SIDE), (face.PARAMETERS,))), statistics
    import torch

    def run(pictures: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(pictures)).numpy()

    return run, statistics


def _onnx(model: Path | bytes) -> Run:
    from pipeline.weights.loading import onnx_session

    session = onnx_session(model, threads=1)
    name = session.get_inputs()[0].name
    return lambda pictures: session.run(None, {name: pictures})[0]


@dataclass(frozen=True)
class Ddfa68Config:
    """Which basis."""

    weights: str = "3ddfa_lmk68"
    """Name on the shelf."""


class Ddfa68Encoder:
    """face/landmarks68: the face model's 68 points, pixels of the frame; z towards the camera."""

    name = "ddfa68"
    version = "1"
    inputs = ("pose/3ddfa", "shape/3ddfa", "expression/3ddfa", "face/roi")
    outputs = (FeatureSpec("face/landmarks68", (face.LANDMARKS, 3), "float32", NAN),)

    def __init__(self, config: Ddfa68Config | None = None, shelf: Shelf | None = None) -> None:
        """Loads nothing yet; `shelf` None: the usual one."""
        self.config = config or Ddfa68Config()
        self.shelf = shelf or Shelf.usual()

    @staticmethod
    def needs(config: Ddfa68Config) -> tuple[tuple[str, Kind], ...]:
        """Weights by name and kind."""
        return ((config.weights, "lmk68"),)

    def identity(self) -> dict[str, Any]:
        """The basis' hash."""
        files = self.shelf.hashes(self.config.weights, "lmk68")
        return identity_of(self.name, self.version, self.config, files)

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """Points of every frame with a face; NaN in the others."""
        basis = face.read_basis(next(self.shelf.open(self.config.weights, "lmk68").glob("*.npz")))
        parts = [inputs.features[name] for name in self.inputs[:3]]
        parameters = np.concatenate(parts, axis=1)
        return {
            "face/landmarks68": face.landmarks68(parameters, inputs.features["face/roi"], basis)
        }
