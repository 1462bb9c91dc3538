"""Where the head is in each frame, and which recorded body lies under it."""

import difflib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from flows.errors import FlowError, NothingToDo
from flows.features import FeatureNames
from flows.reading import clips_with
from flows.synthesis.look import Look
from flows.train_head import head_clips
from pipeline.face.pose import FOCAL_FACTOR
from render.head_data import HeadData
from render.views import angles, carried, mean_camera, orbit
from store import Snapshot

CALM = ("neutral", "calm", "")
SHORTEST_TRACK = 12
"""Frames; below half a second the head would shuttle visibly."""
BLOCK = 50
"""Frames of a clip that are read at a time: two blocks are all that is held of it."""
SAMPLED = 80
"""Frames of an identity from which its background and body are put together."""


@dataclass(frozen=True)
class Driving:
    """Cameras of all frames of a video, and the recorded body under each."""

    cameras: Float[np.ndarray, "frames 3 4"]
    poses_of: str
    """Clip the poses come from; "" for a head that turns about its mean pose (`--orbit`)."""
    body_of: str
    """Clip of the identity whose frames lie under the head."""
    rows: Int[np.ndarray, " frames"]
    """Frame of that clip under each frame."""

    def record(self, seen: Float[np.ndarray, "n 3 4"]) -> dict[str, Any]:
        """JSON-able; how far the views go beyond the `seen` poses (of the head's own clips)."""
        asked, known = angles(self.cameras), angles(seen)
        names = ("yaw", "pitch")
        return {
            "driving_clip": self.poses_of or None,
            "body": self.body_of,
            **{
                f"{name}_degrees": [round(float(f(asked[:, i])), 1) for f in (np.min, np.max)]
                for i, name in enumerate(names)
            },
            **{
                f"recorded_{name}_degrees": [
                    round(float(q), 1) for q in np.quantile(known[:, i], (0.01, 0.99))
                ]
                for i, name in enumerate(names)
            },
        }


def driving(
    snapshot: Snapshot,
    dataset: str,
    identity: str,
    names: FeatureNames,
    frames: int,
    look: Look,
) -> Driving:
    """Poses as `look` asks for them: the identity's own, another clip's, or a circling camera.

    Raises:
        NothingToDo: no clip has a pose in at least half a second of consecutive frames.
        FlowError: the clip asked for is not there, or has no such stretch.
    """
    body, run = own_stretch(snapshot, dataset, identity, names)
    own = snapshot.read(dataset, names.camera, body, run.start, run.stop).astype(np.float64)
    if look.pose_from is None or circles(look):
        return own_course(own, body, run.start, frames, look)
    clip = named_clip(snapshot, dataset, names, look.pose_from)
    stretch = pose_stretch(snapshot, dataset, names, clip)
    if stretch.stop - stretch.start < SHORTEST_TRACK:
        raise FlowError(
            f"--pose-from {clip}: a pose in {stretch.stop - stretch.start} consecutive frames, "
            f"{SHORTEST_TRACK} are needed; take a clip in which the face stays visible"
        )
    poses = snapshot.read(dataset, names.camera, clip, stretch.start, stretch.stop)
    order = there_and_back(len(poses), frames)
    if clip in head_clips(snapshot, dataset, identity, names):
        return Driving(poses[order].astype(np.float64), clip, clip, stretch.start + order)
    # Somebody else's movements: round the identity's own mean pose, over one still body, that of
    # the frame nearest to this pose. A body cut from moving frames would jump.
    base = mean_camera(own)
    moved = carried(poses.astype(np.float64), base)[order]
    return Driving(moved, clip, body, np.full(frames, run.start + nearest(own, base)))


def own_course(
    own: Float[np.ndarray, "n 3 4"], clip: str, first: int, frames: int, look: Look
) -> Driving:
    """Along the identity's own poses, there and back; or turning about their mean, over the still
    body of the pose nearest to it.

    Args:
        own: poses of a stretch.
        clip: where it was recorded.
        first: row of its first frame.
        frames: length of the video.
        look: whether the camera circles.
    """
    if circles(look):
        yaw, base = look.orbit or 0.0, mean_camera(own)
        path = orbit(base, frames, yaw, look.orbit_pitch, look.orbit_seconds)
        return Driving(path, "", clip, np.full(frames, first + nearest(own, base)))
    order = there_and_back(len(own), frames)
    return Driving(own[order], clip, clip, first + order)


def nearest(poses: Float[np.ndarray, "n 3 4"], base: Float[np.ndarray, "3 4"]) -> int:
    """The pose that is most like `base`."""
    return int(np.abs(poses - base).sum((1, 2)).argmin())


def circles(look: Look) -> bool:
    """Whether the camera circles."""
    return look.orbit is not None or look.orbit_pitch > 0


def there_and_back(length: int, frames: int) -> Int[np.ndarray, " frames"]:
    """To the end, back to the start, and so on: no jump, whatever the lengths.

    >>> there_and_back(3, 7)
    array([0, 1, 2, 1, 0, 1, 2])
    """
    there = np.arange(length)
    return np.resize(np.concatenate([there, there[-2:0:-1]]), frames)


def own_stretch(
    snapshot: Snapshot, dataset: str, identity: str, names: FeatureNames
) -> tuple[str, slice]:
    """The longest stretch with a pose in every frame, of a calm clip if there is one.

    Raises:
        NothingToDo: no clip has a pose in at least half a second of consecutive frames.
    """
    emotions = snapshot.clips(dataset).emotion
    best: tuple[tuple[bool, int], str, slice] | None = None
    for clip_id in head_clips(snapshot, dataset, identity, names):
        run = pose_stretch(snapshot, dataset, names, clip_id)
        long_enough = run.stop - run.start >= SHORTEST_TRACK
        rank = (long_enough and emotions[clip_id] in CALM, run.stop - run.start)
        if best is None or rank > best[0]:
            best = rank, clip_id, run
    if best is None or best[0][1] < SHORTEST_TRACK:
        raise NothingToDo(
            f"identity {identity!r} has no clip with a pose in {SHORTEST_TRACK} consecutive frames "
            f"(longest: {best[0][1] if best else 0}); add a clip in which the face stays visible"
        )
    return best[1], best[2]


def pose_stretch(snapshot: Snapshot, dataset: str, names: FeatureNames, clip_id: str) -> slice:
    """The longest stretch of a clip with a pose in every frame."""
    cameras = snapshot.read(dataset, names.camera, clip_id)
    return longest_run(np.asarray(np.isfinite(cameras).all(axis=(1, 2))))


def longest_run(good: np.ndarray) -> slice:
    """The longest stretch of True; empty if there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(np.int8), [0]])))
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return slice(0, 0)
    at = int((stops - starts).argmax())
    return slice(int(starts[at]), int(stops[at]))


def named_clip(snapshot: Snapshot, dataset: str, names: FeatureNames, asked: str) -> str:
    """The clip with a pose that is called `asked`, or whose name alone begins so.

    Raises:
        FlowError: there is none, or several; the nearest names are given.
    """
    clips = clips_with(snapshot, dataset, (names.camera,))
    if asked in clips:
        return asked
    begin = [clip for clip in clips if clip.startswith(asked)]
    if len(begin) == 1:
        return begin[0]
    if begin:
        raise FlowError(
            f"--pose-from {asked!r} is the beginning of {len(begin)} clips: "
            f"{', '.join(begin[:4])}; write more of the name"
        )
    near = difflib.get_close_matches(asked, clips, n=3, cutoff=0.3)
    raise FlowError(
        f"--pose-from {asked!r}: no clip of that name has poses; "
        + (f"nearest: {', '.join(near)}" if near else f"{len(clips)} clips have")
    )


class Body:
    """Pictures and labels of one clip, read a block at a time."""

    def __init__(self, snapshot: Snapshot, dataset: str, clip_id: str, names: FeatureNames) -> None:
        """Nothing is read yet."""
        self._read = lambda feature, start, stop: snapshot.read(
            dataset, feature, clip_id, start, stop
        )
        self._features = (names.frames, names.parsing)
        self._length = snapshot.frames(dataset, clip_id)
        self._blocks: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def __call__(self, row: int) -> tuple[UInt8[np.ndarray, "s s 3"], UInt8[np.ndarray, "s s"]]:
        """Picture and labels of a frame."""
        number = row // BLOCK
        if number not in self._blocks:
            start = number * BLOCK
            stop = min(start + BLOCK, self._length)
            frames, labels = (self._read(name, start, stop) for name in self._features)
            self._blocks[number] = frames, labels
            while len(self._blocks) > 2:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        frames, labels = self._blocks[number]
        return frames[row % BLOCK], labels[row % BLOCK]


def sampled(snapshot: Snapshot, dataset: str, clip_ids: list[str], names: FeatureNames) -> HeadData:
    """Frames evenly spread over clips: enough for background and body, however long they are."""
    lengths = np.array([snapshot.frames(dataset, clip_id) for clip_id in clip_ids])
    ends = np.cumsum(lengths)
    total = int(ends[-1])
    at = np.unique(np.linspace(0, total - 1, min(SAMPLED, total)).astype(int))
    which = np.searchsorted(ends, at, side="right")
    row = at - (ends - lengths)[which]

    def read(feature: str) -> np.ndarray:
        return np.concatenate(
            [
                snapshot.read(dataset, feature, clip_ids[c], int(i), int(i) + 1)
                for c, i in zip(which, row, strict=True)
            ]
        )

    frames = read(names.frames)
    return HeadData(
        frames=frames,
        labels=read(names.parsing),
        cameras=read(names.camera).astype(np.float64),
        focal=FOCAL_FACTOR * frames.shape[1],
        alpha=read(names.expression),
        found=read(names.found) == 1,
        clip_ids=tuple(clip_ids[c] for c in which),
        test=np.zeros(len(at), bool),
    )
