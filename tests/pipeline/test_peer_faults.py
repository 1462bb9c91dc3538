"""Seven faults of the preprocessing people use today, and what emohead does there.

RAD-NeRF `data_utils/process.py` at 0de5ed2 and its relatives, found by running and reading them.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import clock, media
from pipeline.encoder import ClipInputs, identity_of
from pipeline.errors import InputError, MissingInput
from pipeline.face import models
from pipeline.face.landmarks import FaceMeshEncoder
from pipeline.face.mar import MarEncoder
from pipeline.face.pose import PoseConfig, PoseEncoder
from pipeline.features import FeatureSpec
from pipeline.geometry import Square
from pipeline.media_audio import read_audio
from pipeline.media_video import VideoConfig, read_video
from pipeline.process import ClipResult, process_clip
from pipeline.profiles import Profile
from pipeline.scan import scan

GONE = [4, 11, 12, 13, 24, 40, 41, 60]
FRAMES = 78
CLIP = "silent/d0.mp4"


@pytest.fixture(scope="module")
def holed(processed: Callable[..., ClipResult]) -> dict[str, np.ndarray]:
    """Landmarks, poses and mouth of a real clip with eight frames blacked out."""
    video = processed(CLIP).arrays["video/rgb"][:FRAMES].copy()
    video[GONE] = 0
    features = FaceMeshEncoder().encode(ClipInputs(FRAMES, video_source=lambda: video))
    inputs = ClipInputs(FRAMES, features)
    poses = PoseEncoder(PoseConfig(cutoff=0.0)).encode(inputs)
    return features | poses | MarEncoder().encode(inputs)


def test_1_a_frame_without_a_face_shifts_no_other_frames_pose(
    processed: Callable[..., ClipResult], holed: dict[str, np.ndarray]
) -> None:
    """There: poses numbered over the frames that were left, 147 of 197 wrong, exit code 0."""
    features = {"face/landmarks": processed(CLIP).arrays["face/landmarks"][:FRAMES]}
    whole = PoseEncoder(PoseConfig(cutoff=0.0)).encode(ClipInputs(FRAMES, features))["pose/camera"]
    kept = np.setdiff1d(np.arange(FRAMES), GONE)
    holes = holed["pose/camera"]
    assert np.isnan(holes[GONE]).all()
    assert np.isfinite(holes[kept]).all()
    # each pose is its own frame's; numbered like the peers' they would be other frames'
    own = np.linalg.norm((holes[kept] - whole[kept])[..., :3], axis=(1, 2))
    renumbered = np.linalg.norm((holes[kept] - whole[: len(kept)])[..., :3], axis=(1, 2))
    assert np.median(own) < 0.02
    assert own.mean() < 0.3 * renumbered.mean()


def test_2_errors_are_errors(shared_data: Path, profile: Profile) -> None:
    """There: a step dies, prints that it is done, exit code 0; the user learns it in training."""

    @dataclass(frozen=True)
    class Settings:
        """None."""

    class Failing:
        name, version, inputs = "failing", "1", ("face/found",)
        config = Settings()
        outputs = (FeatureSpec("test/value", (), "float32", float("nan")),)

        def __init__(self, error: Exception) -> None:
            self.error = error

        def identity(self) -> dict[str, Any]:
            return identity_of(self.name, self.version, self.config)

        def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
            raise self.error

    class Following(Failing):
        name, inputs = "following", ("test/value",)
        outputs = (FeatureSpec("test/next", (), "float32", float("nan")),)

    source = scan(shared_data / "real" / "grid" / "bbaf2n.mpg").clips[0]
    given = {"face/found": np.ones(75, np.uint8)}

    def run(error: Exception) -> ClipResult:
        encoders = (*profile.encoders, Failing(error), Following(error))
        return process_clip(
            source, ["test/value", "test/next"], replace(profile, encoders=encoders), given
        )

    with pytest.raises(ImportError, match="no such library"):
        run(ImportError("no such library"))
    result = run(MissingInput("no such stream"))
    assert not result.arrays
    assert result.rejected == {
        "test/value": "no such stream",
        "test/next": "needs test/value: no such stream",
    }


def test_3_one_frame_without_a_face_loses_no_step(holed: dict[str, np.ndarray]) -> None:
    """There: TypeError, the whole step lost."""
    found = holed["face/found"]
    assert np.flatnonzero(found == 0).tolist() == GONE
    assert np.isnan(holed["face/mar"][GONE]).all()
    assert np.isfinite(np.delete(holed["face/mar"], GONE)).all()


def test_4_what_is_there_is_not_made_again(
    processed: Callable[..., ClipResult], shared_data: Path, profile: Profile
) -> None:
    """There: every task redoes everything."""
    whole = processed(CLIP)
    source = scan(shared_data / "real" / CLIP).clips[0]
    given = {"face/landmarks": whole.arrays["face/landmarks"]}
    again = process_clip(source, ["face/mar"], profile, given)
    assert set(again.seconds) == {"probe", "mar", "quality"}
    np.testing.assert_array_equal(again.arrays["face/mar"], whole.arrays["face/mar"])


def test_5_the_file_systems_order_decides_nothing(shared_data: Path, tmp_path: Path) -> None:
    """There: unsorted glob, so the background differs between two copies of one folder."""
    names = ["bbaf2n.mpg", *sorted(p.name for p in (shared_data / "real" / "grid").glob("*.mpg"))]
    told = []
    for folder, order in (("one", sorted(set(names))), ("two", sorted(set(names))[::-1])):
        (tmp_path / folder).mkdir()
        for name in order:
            shutil.copy(shared_data / "real" / "grid" / name, tmp_path / folder / name)
        told.append([clip.clip_id for clip in scan(tmp_path / folder).clips])
    assert told[0] == told[1]
    assert len(told[0]) >= 3


def test_6_a_library_of_another_version_is_named_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There: `LandmarksType._2D` is gone, AttributeError; versions are pinned by hope."""

    class Spec:
        origin = str(tmp_path / "mediapipe" / "__init__.py")  # a wheel without models: >= 0.10.15

    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: Spec())
    with pytest.raises(InputError, match=r"pip install mediapipe==0\.10\.14"):
        models.weights.__wrapped__("face_mesh")
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="mediapipe is not installed"):
        models.weights.__wrapped__("face_mesh")


def test_7_thirty_frames_a_second_meet_sound_in_step(maker: Any, read_number: Any) -> None:
    """There: every sixth frame dropped, or 30 fps pictures paired with 25 fps sound."""
    rate = 48_000
    sound = np.zeros((1, 3 * rate), np.float32)
    sound[0, 2 * rate : 2 * rate + 480] = 0.9  # a click at 2 s, when source frame 60 appears
    times = [Fraction(i, 30) for i in range(90)]
    path = maker.write("clip.mov", times, last=Fraction(1, 30), sound=sound)
    info = media.probe(path)
    video = read_video(info, 96, lambda *_: Square(0, 0, 96), None, None, VideoConfig())
    shown = [read_number(frame) for frame in video.frames]
    assert shown == [int(clock.frame_centre(i) * 30) for i in range(75)]
    audio = read_audio(info, len(shown), None).samples
    assert len(audio) == 75 * 640
    click = int(np.abs(audio).argmax()) / clock.SAMPLE_RATE
    assert click == pytest.approx(2.0, abs=0.011)
    assert shown[int(click * 25) + 1] == 61
