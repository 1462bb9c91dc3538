"""What is seen and heard in one video, once, for every metric that asks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from pipeline import media
from pipeline.encoder import sha256_of
from pipeline.errors import MediaError, MissingInput
from pipeline.face import models
from pipeline.face.indices import LANDMARKS
from pipeline.media_audio import read_audio
from pipeline.media_frames import WholeFrames
from render.errors import MetricError

SECOND_LOOKS = 250
"""Frames the tracker lost that are searched again as stills, at most: each costs three times."""


Size = tuple[int, int]
"""Width and height, pixels."""


@dataclass(frozen=True)
class Reduced:
    """Frames of a video as if they had been drawn smaller, and enlarged where they are shown."""

    whole: WholeFrames
    drawn: Size
    """What remains of them."""
    shown: Size
    """Size of the pictures; `drawn` again where nothing is enlarged."""

    def __len__(self) -> int:
        """V."""
        return len(self.whole)

    @property
    def size(self) -> Size:
        """Width and height of the pictures."""
        return self.shown

    @property
    def record(self) -> dict[str, Any]:
        """JSON-able."""
        there = self.whole.record | {"width": self.shown[0], "height": self.shown[1]}
        return there | {"drawn": list(self.drawn)}

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """Pixels are averaged to `drawn`, and enlarged as a generated video's are.

        Raises:
            MediaError: the file changed since it was first read.
        """
        for frame in self.whole:
            small = cv2.resize(frame, self.drawn, interpolation=cv2.INTER_AREA)
            if self.shown != self.drawn:
                small = cv2.resize(small, self.shown, interpolation=cv2.INTER_CUBIC)
            yield np.asarray(small, np.uint8)


@dataclass(frozen=True, eq=False)
class Watched:
    """A video on the 25 fps grid, its face landmarks and its sound."""

    frames: WholeFrames | Reduced
    sha256: str
    landmarks: Float32[np.ndarray, "frames mesh 3"]
    """Pixels of the picture; NaN where no face was found."""
    sound: Float32[np.ndarray, " samples"] | None
    """640 samples a frame at 16 kHz; None where there is none."""
    no_sound: str
    """Why there is no sound."""
    path: Path
    drawn: Size
    """Size at which its frames were drawn: `size`, or smaller where they were enlarged since."""

    @property
    def size(self) -> Size:
        """Width and height, pixels."""
        return self.frames.size

    def __len__(self) -> int:
        """Frames."""
        return len(self.frames)

    @property
    def seen(self) -> np.ndarray:
        """Frames with a face."""
        return np.isfinite(self.landmarks[:, 0, 0])

    @property
    def record(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "file": self.path.name,
            "sha256": self.sha256,
            **self.frames.record,
            "frames_with_face": int(self.seen.sum()),
            "sound": self.no_sound or "yes",
        }


def watch(path: Path, drawn: int | None = None) -> Watched:
    """Read a video: landmarks of its face, and its sound.

    Args:
        path: any video ffmpeg reads.
        drawn: width at which its frames were drawn, pixels, where they were enlarged since.

    Raises:
        MediaError: not a video, or nothing decodes.
        MetricError: drawn wider than it is.
    """
    if not path.is_file():
        raise MediaError(f"{path} is not there; give the path of a video")
    frames = WholeFrames(media.probe(path))
    sound, no_sound = None, ""
    try:
        sound = read_audio(frames.info, len(frames)).samples
    except MissingInput as reason:
        no_sound = str(reason)
    size = frames.size
    if drawn is not None and not 1 <= drawn <= size[0]:
        raise MetricError(
            f"{path.name} is {size[0]} px wide and cannot have been drawn {drawn} px wide; give "
            "the width before it was enlarged"
        )
    small = size if drawn is None else (drawn, max(1, round(drawn * size[1] / size[0])))
    return Watched(frames, sha256_of(path), _landmarks(frames), sound, no_sound, path, small)


def reduced(video: Watched, drawn: Size, shown: Size) -> Watched:
    """What is seen of a video once its frames are brought to `drawn` and shown at `shown`."""
    if not isinstance(video.frames, WholeFrames):
        raise MetricError(f"{video.path.name} was reduced before; take the video as it is")
    frames = Reduced(video.frames, drawn, shown)
    return replace(video, frames=frames, landmarks=_landmarks(frames), drawn=drawn)


def _landmarks(frames: WholeFrames | Reduced) -> Float32[np.ndarray, "frames mesh 3"]:
    """Face mesh with tracking, then a second look as stills where it lost the face."""
    points = np.full((len(frames), LANDMARKS, 3), np.nan, np.float32)
    with models.using(models.face_mesh(tracking=True), fresh=True) as mesh:
        for row, frame in zip(points, frames, strict=True):
            _locate(mesh, frame, row)
    missed = set(np.flatnonzero(np.isnan(points[:, 0, 0]))[:SECOND_LOOKS].tolist())
    if missed:
        with models.using(models.face_mesh(tracking=False)) as mesh:
            for at, frame in _chosen(frames, missed):
                _locate(mesh, frame, points[at])
    return points


def _chosen(
    frames: WholeFrames | Reduced, wanted: set[int]
) -> Iterator[tuple[int, UInt8[np.ndarray, "height width 3"]]]:
    for at, frame in enumerate(frames):
        if at in wanted:
            yield at, frame


def _locate(
    mesh: Any, frame: UInt8[np.ndarray, "height width 3"], points: Float32[np.ndarray, "mesh 3"]
) -> None:
    """As the face-mesh encoder does it, for pictures that need not be square."""
    faces = mesh.process(np.ascontiguousarray(frame)).multi_face_landmarks
    if faces:
        height, width = frame.shape[:2]
        points[:] = [(p.x * width, p.y * height, p.z * width) for p in faces[0].landmark]
