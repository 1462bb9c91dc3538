"""The Tasks landmarker beside the face mesh, on a real clip."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.encoder import ClipInputs
from pipeline.errors import RejectedClip
from pipeline.face.landmarker import LandmarkerEncoder
from pipeline.process import ClipResult
from pipeline.weights import Shelf


@pytest.fixture(scope="module")
def shelf(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    shelf.add("face_landmarker", shared_data / "weights" / "mediapipe")
    return shelf


def test_both_back_ends_agree(processed: Callable[..., ClipResult], shelf: Shelf) -> None:
    """478 points of one clip at 256 px: median 0.83 px apart on d0 (78 frames), 95 % below 1.9."""
    clip = processed("silent/d0.mp4")
    video, mesh = clip.arrays["video/rgb"][:30], clip.arrays["face/landmarks"][:30]
    encoder = LandmarkerEncoder(shelf=shelf)
    made = encoder.encode(ClipInputs(30, video_source=lambda: video))
    for spec in encoder.outputs:
        spec.check(made[spec.name], 30)
    apart = np.linalg.norm(made["face/landmarks_tasks"][..., :2] - mesh[..., :2], axis=-1)
    assert np.median(apart) < 1.3
    assert np.percentile(apart, 95) < 3
    shapes = made["face/blendshapes"]
    assert ((shapes >= 0) & (shapes <= 1)).all()
    # a speaking face: jawOpen (25) follows the mouth
    assert np.corrcoef(shapes[:, 25], clip.arrays["face/mar"][:30])[0, 1] > 0.7
    again = encoder.encode(ClipInputs(30, video_source=lambda: video))
    np.testing.assert_array_equal(again["face/blendshapes"], shapes)


def test_no_face_is_a_reason(shelf: Shelf) -> None:
    video = np.zeros((3, 128, 128, 3), np.uint8)
    with pytest.raises(RejectedClip, match="no face in any of 3 frames"):
        LandmarkerEncoder(shelf=shelf).encode(ClipInputs(3, video_source=lambda: video))
