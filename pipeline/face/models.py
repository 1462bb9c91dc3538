"""MediaPipe's models out of its wheel: loaded once per process, silent, with known hashes."""

import functools
import importlib.util
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.encoder import sha256_of
from pipeline.errors import InputError

_FILES = {
    "face_detection_short": "face_detection/face_detection_short_range.tflite",
    "face_detection_full": "face_detection/face_detection_full_range_sparse.tflite",
    "face_mesh": "face_landmark/face_landmark_with_attention.tflite",
    "selfie": "selfie_segmentation/selfie_segmentation.tflite",
    "selfie_landscape": "selfie_segmentation/selfie_segmentation_landscape.tflite",
}
_NOTHING = np.zeros((64, 64, 3), np.uint8)
_lock = threading.RLock()


@functools.cache
def weights(*names: str) -> dict[str, str]:
    """sha256 of the named model files, for fingerprints.

    Raises:
        InputError: a MediaPipe wheel that does not carry its models.
    """
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise InputError("mediapipe is not installed; `pip install mediapipe==0.10.14`")
    folder = Path(spec.origin).parent / "modules"
    found = {}
    for name in names:
        path = folder / _FILES[name]
        if not path.is_file():
            raise InputError(
                f"{path} is missing: only mediapipe 0.10.14 carries its models and runs with "
                "numpy 2; `pip install mediapipe==0.10.14`"
            )
        found[name] = sha256_of(path)
    return found


@functools.cache
def face_mesh(tracking: bool) -> Any:
    """The 478-point mesh; `tracking` follows one face from frame to frame."""
    with quiet():
        from mediapipe.python.solutions.face_mesh import FaceMesh

        return _started(
            FaceMesh(static_image_mode=not tracking, max_num_faces=1, refine_landmarks=True)
        )


@functools.cache
def face_detection(full_range: bool) -> Any:
    """Boxes of faces: near ones (2 m), or near and far."""
    with quiet():
        from mediapipe.python.solutions.face_detection import FaceDetection

        return _started(
            FaceDetection(model_selection=int(full_range), min_detection_confidence=0.5)
        )


@functools.cache
def selfie_segmentation(landscape: bool) -> Any:
    """Person against background: 256x256 network, or the lighter 144x256 one."""
    with quiet():
        from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

        return _started(SelfieSegmentation(model_selection=int(landscape)))


def _started(model: Any) -> Any:
    """Run the graph once: its libraries speak at the first picture, not at construction."""
    model.process(_NOTHING)
    return model


@contextmanager
def using(model: Any, fresh: bool = False) -> Iterator[Any]:
    """Hold a model for one clip: nobody else's frames in between, no third-party noise.

    `fresh` forgets the last clip's tracks.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # protobuf's own housekeeping, once per frame
        if fresh:
            with quiet():
                model.reset()
                model.process(_NOTHING)
        yield model


@contextmanager
def quiet() -> Iterator[None]:
    """Keep absl and TensorFlow Lite from writing to file descriptor 2 while a graph starts."""
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as sink:
            os.dup2(sink.fileno(), 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
