"""One stable square per clip, found from a few of its frames.

The square holds the whole head and some shoulder: its side is about twice the detected face, whose
box lies a little below its middle. Sources that are already cut that way pass through untouched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from pipeline.errors import RejectedClip
from pipeline.face import models
from pipeline.face.speaker import chosen_text, mouth_square, speaking
from pipeline.geometry import Square, fit_square

_SPECK = 24
"""Pixels; what the detector calls a face below this is as often a stain."""


@dataclass(frozen=True)
class CropConfig:
    """Where the square is put."""

    side: float = 2.1
    """Side of the square over the side of the face box (brows to chin)."""
    above: float = 0.56
    """Height of the box centre in the square, 0 top to 1 bottom; hair needs more room than neck."""
    keep_from: float = 0.45
    """A square source whose face box is at least this share of its side is kept whole."""
    smallest: int = 96
    """Least face box side in source pixels; smaller ones would be blown up more than 1.3 times."""
    motion: float = 1.5
    """Times the face box that must stay inside the square in every sampled frame."""
    near: float = 0.28
    """Faces smaller than this share of the picture's shorter side are measured by the far-range
    detector."""
    sightings: int = 2
    """A face counts when it is seen in this many sampled frames: one may be a pattern on a wall."""
    other: float = 0.25
    """A second face is flagged when it is seen in this share of the sampled frames."""
    rival: float = 0.6
    """A second face of at least this share of the main one's size may be the one that speaks."""
    stand_out: float = 0.15
    """How much better a mouth must agree with the sound than any other to be the speaking one."""


@dataclass(eq=False)  # two people may stand in the same place; boxes are arrays
class FaceTrack:
    """One person's boxes over the sampled frames."""

    boxes: list[tuple[int, np.ndarray, float]] = field(default_factory=list)
    """(sample, [centre x, centre y, side] in pixels of the displayed picture, score)."""

    def box(self) -> Float[np.ndarray, "3"]:
        """Median box over the samples."""
        return np.median(np.array([box for _, box, _ in self.boxes]), axis=0)

    def side(self) -> float:
        """Median side, pixels."""
        return float(self.box()[2])

    def weight(self, picture: tuple[int, int]) -> float:
        """How much this face is the clip's subject: seen often, large, central."""
        width, height = picture
        centre = np.array([width / 2, height / 2])
        off = [np.linalg.norm((box[:2] - centre) / (width, height)) for _, box, _ in self.boxes]
        sizes = [box[2] / max(width, height) for _, box, _ in self.boxes]
        return float(np.sum(np.array(sizes) * (1 - 0.7 * np.array(off))))


@dataclass
class CropFinder:
    """Callable for `media_video.read_video`; keeps what it saw for the clip's record."""

    config: CropConfig = field(default_factory=CropConfig)
    voice: Callable[[int], np.ndarray | None] | None = None
    """The clip's sound for a number of frames, to tell who speaks; None where there is none."""
    facts: dict[str, Any] = field(default_factory=dict)
    mouths: tuple[Square, ...] = ()
    """Where mouths move, when several faces could be the one; the first is the main face's."""
    _rivals: list[FaceTrack] = field(default_factory=list, init=False, repr=False)
    _pictures: Sequence[np.ndarray] = field(default=(), init=False, repr=False)
    _picture: tuple[int, int] = field(default=(0, 0), init=False, repr=False)

    def __call__(
        self,
        pictures: Sequence[UInt8[np.ndarray, "height width 3"]],
        picture: tuple[int, int],
    ) -> Square:
        """The square, in pixels of a displayed picture of (width, height).

        Raises:
            RejectedClip: no face in any picture, or only faces too small to measure.
        """
        found = [_faces(image, picture, full_range=False) for image in pictures]
        if self._doubtful(found, picture):
            found = [_faces(image, picture, full_range=True) for image in pictures]
        least = self.config.sightings if len(pictures) > 3 else 1
        tracks = [track for track in _link(found) if len(track.boxes) >= least]
        if not tracks:
            raise RejectedClip(f"no face in any of {len(pictures)} sampled frames")
        main = max(tracks, key=lambda track: track.weight(picture))
        return self._decide(main, tracks, pictures, picture)

    def choose(self, movement: Float[np.ndarray, "faces frames"]) -> Square | None:
        """The square of the face that speaks; None when it is the main one.

        Args:
            movement: mean change of the pixels inside each of `mouths`, a frame.
        """
        sound = None if self.voice is None else self.voice(movement.shape[1])
        if sound is None:
            self.facts["chosen"] = "the main one, no sound to tell"
            return None
        verdict = speaking(movement, sound, self.config.stand_out)
        self.facts["chosen"] = chosen_text(
            verdict, ("main", "other", "third", "fourth")[: len(movement)]
        )
        if not verdict.index:
            return None
        chosen = self._rivals[verdict.index]
        others, text = self.facts["several_faces"], self.facts["chosen"]
        square = self._decide(chosen, [chosen], self._pictures, self._picture)
        self.facts |= {"several_faces": others, "chosen": text}
        return square

    def _decide(
        self,
        main: FaceTrack,
        tracks: list[FaceTrack],
        pictures: Sequence[UInt8[np.ndarray, "height width 3"]],
        picture: tuple[int, int],
    ) -> Square:
        boxes = np.array([box for _, box, _ in main.boxes])
        side = float(np.median(boxes[:, 2]))
        if side < self.config.smallest:
            raise RejectedClip(
                f"the face is too small: {side:.0f} px wide in the source, "
                f"at least {self.config.smallest} px are needed"
            )
        self._pictures, self._picture = pictures, picture
        seen = self.config.other * len(pictures)
        others = [t for t in tracks if t is not main and len(t.boxes) >= max(2, seen)]
        self._rivals = [
            main,
            *(
                t
                for t in others
                if min(side, t.side()) >= self.config.smallest
                and t.side() >= self.config.rival * side
            ),
        ][:4]
        if len(self._rivals) > 1:
            self.mouths = tuple(mouth_square(t.box(), picture) for t in self._rivals)
        square = self._square(boxes, side, picture)
        self.facts = {
            "square": square.as_fact(),
            "source_size": list(picture),
            "face_side": round(side, 1),
            "sampled_frames": len(pictures),
            "sampled_with_face": len({sample for sample, _, _ in main.boxes}),
            "several_faces": 1 + len(others),
            "kept_whole": square.side == picture[0] == picture[1],
        }
        return square

    def _doubtful(
        self, found: list[list[tuple[np.ndarray, float]]], picture: tuple[int, int]
    ) -> bool:
        """Few faces, or faces so small that the near-range detector misjudges their size."""
        sides = [faces[0][0][2] for faces in found if faces]
        few = len(sides) < len(found) / 2
        return few or float(np.median(sides)) < self.config.near * min(picture)

    def _square(
        self, boxes: Float[np.ndarray, "seen 3"], face: float, picture: tuple[int, int]
    ) -> Square:
        config, (width, height) = self.config, picture
        if width == height and face >= config.keep_from * width:
            return Square(0, 0, width)
        side = config.side * face
        reach = config.motion * boxes[:, 2:] / 2
        low, high = (boxes[:, :2] - reach).min(0), (boxes[:, :2] + reach).max(0)
        side = max(side, float((high - low).max()))
        middle = np.median(boxes[:, :2], axis=0)
        centre = (float(middle[0]), float(middle[1]) + (0.5 - config.above) * side)
        wanted = fit_square(centre, side, picture)
        # keep every sampled face inside: shift, never beyond the picture
        x = min(max(wanted.x, high[0] - side), low[0])
        y = min(max(wanted.y, high[1] - side), low[1])
        return fit_square((x + side / 2, y + side / 2), side, picture)


def _faces(
    image: UInt8[np.ndarray, "height width 3"], picture: tuple[int, int], full_range: bool
) -> list[tuple[np.ndarray, float]]:
    """Face boxes as ([centre x, centre y, side] in displayed pixels, score)."""
    width, height = picture
    with models.using(models.face_detection(full_range)) as detector:
        detections = detector.process(image).detections or []
    faces = []
    for detection in detections:
        box = detection.location_data.relative_bounding_box
        side = max(box.width * width, box.height * height)
        if side < _SPECK:
            continue
        middle = ((box.xmin + box.width / 2) * width, (box.ymin + box.height / 2) * height)
        faces.append((np.array([*middle, side]), float(detection.score[0])))
    return faces


def _link(found: list[list[tuple[np.ndarray, float]]]) -> list[FaceTrack]:
    """Join boxes of successive samples that overlap into tracks of one face each."""
    tracks: list[FaceTrack] = []
    for sample, faces in enumerate(found):
        free = list(tracks)
        for box, score in sorted(faces, key=lambda face: -face[1]):
            near = [t for t in free if _same(t.boxes[-1][1], box)]
            if near:
                track = min(near, key=lambda t: np.linalg.norm(t.boxes[-1][1][:2] - box[:2]))
                free.remove(track)
            else:
                track = FaceTrack()
                tracks.append(track)
            track.boxes.append((sample, box, score))
    return tracks


def _same(a: Float[np.ndarray, "3"], b: Float[np.ndarray, "3"]) -> bool:
    size = max(a[2], b[2])
    return bool(np.linalg.norm(a[:2] - b[:2]) < 0.8 * size and abs(a[2] - b[2]) < 0.5 * size)
