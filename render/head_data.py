"""What a head is trained on: frames, parsing labels, cameras, whitened coefficients."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, UInt8

from render.errors import HeadDataError
from render.masks import head_mask
from render.pose_check import pose_outliers

MIN_FRAMES = 20
MIN_HEAD_SHARE = 0.01


@dataclass(frozen=True)
class HeadData:
    """Aligned arrays of one identity, one row a frame."""

    frames: UInt8[np.ndarray, "n s s 3"]
    """RGB crops."""
    labels: UInt8[np.ndarray, "n s s"]
    """CelebAMask labels 0-18."""
    cameras: Float[np.ndarray, "n 3 4"]
    """World -> camera, see `render.cameras`."""
    focal: float
    """Focal length in pixels of these frames."""
    alpha: Float[np.ndarray, "n k"]
    """Expression coefficients, whitened."""
    found: Bool[np.ndarray, " n"]
    """Whether the face was found."""
    clip_ids: tuple[str, ...]
    """Clip of each frame; splits never cut a clip where there are several."""
    test: Bool[np.ndarray, " n"]
    """Held-out frames."""
    tags: tuple[str, ...] = ()
    """Emotion tag of each frame ("" where unknown); empty: none is known."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together.

        Raises:
            HeadDataError: lengths or shapes differ.
        """
        n = len(self.frames)
        lengths = {
            "labels": len(self.labels),
            "cameras": len(self.cameras),
            "alpha": len(self.alpha),
            "found": len(self.found),
            "clip_ids": len(self.clip_ids),
            "test": len(self.test),
            "tags": len(self.tags) or n,
        }
        for name, length in lengths.items():
            if length != n:
                raise HeadDataError(
                    f"head data: {name} has {length} rows, frames have {n}; read all features of "
                    "the same frames"
                )
        if self.frames.shape[:3] != self.labels.shape:
            raise HeadDataError(
                f"head data: labels are {self.labels.shape}, frames {self.frames.shape}; both must "
                "have the dataset's size"
            )
        if self.focal <= 0:
            raise HeadDataError(f"head data: focal = {self.focal} px, must be positive")

    @property
    def size(self) -> int:
        """Pixels per side S."""
        return int(self.frames.shape[1])

    def usable(self) -> Bool[np.ndarray, " n"]:
        """Frames with a face, a finite camera and α, and a head of at least 1 % of the picture."""
        return self._usable.copy()

    @cached_property
    def _usable(self) -> Bool[np.ndarray, " n"]:
        finite = np.isfinite(self.cameras).all((1, 2)) & np.isfinite(self.alpha).all(1)
        share = np.array([head_mask(x).mean() for x in self.labels])
        return self.found & finite & (share >= MIN_HEAD_SHARE)

    def take(self, rows: np.ndarray) -> "HeadData":
        """The chosen rows."""
        index = np.flatnonzero(rows) if rows.dtype == bool else rows
        return replace(
            self,
            frames=self.frames[index],
            labels=self.labels[index],
            cameras=self.cameras[index],
            alpha=self.alpha[index],
            found=self.found[index],
            clip_ids=tuple(self.clip_ids[i] for i in index),
            test=self.test[index],
            tags=tuple(self.tags[i] for i in index) if self.tags else (),
        )

    def sound(self) -> Bool[np.ndarray, " n"]:
        """Usable frames whose camera agrees with the others' (see `render.pose_check`)."""
        return self._sound.copy()

    @cached_property
    def _sound(self) -> Bool[np.ndarray, " n"]:
        usable = self.usable()
        rows = np.flatnonzero(usable)
        wild = pose_outliers(self.labels[rows], self.cameras[rows], self.focal)
        usable[rows[wild]] = False
        return usable

    def training(self) -> "HeadData":
        """Sound frames of the training part.

        Raises:
            HeadDataError: fewer than 20 are left.
        """
        rows = self.sound() & ~self.test
        if rows.sum() < MIN_FRAMES:
            wild = int((self.usable() & ~self.test).sum() - rows.sum())
            raise HeadDataError(
                f"head data: {int(rows.sum())} usable training frames of {len(rows)} "
                f"({int(self.found.sum())} with a face, {int(self.test.sum())} held out, {wild} "
                f"with a pose that contradicts the picture), need at least {MIN_FRAMES}; give a "
                "longer or clearer clip of this person"
            )
        return self.take(rows)

    def notes(self) -> list[str]:
        """What a reader of the result must know about the frames: those left out, and why."""
        part = ~self.test
        usable, sound = self.usable() & part, self.sound() & part
        out = []
        if missing := int(part.sum() - usable.sum()):
            out.append(
                f"{missing} of {int(part.sum())} training frames left out: no face, camera, "
                "expression or parsed head"
            )
        if wild := int(usable.sum() - sound.sum()):
            out.append(
                f"{wild} of {int(part.sum())} training frames left out: their pose contradicts "
                "where the head is in the picture"
            )
        return out

    def held_out(self) -> "HeadData":
        """Usable frames never trained on."""
        return self.take(self.usable() & self.test)


def hold_out(clip_ids: Sequence[str], share: float = 0.2) -> Bool[np.ndarray, " frames"]:
    """The test mask: the last clips that make up about `share` of the frames, at least one.

    With a single clip there is no other way than to cut it: its last `share` is held out.
    """
    order = list(dict.fromkeys(clip_ids))
    ids = np.array(clip_ids)
    test = np.zeros(len(ids), bool)
    if len(order) == 1:
        test[round(len(ids) * (1 - share)) :] = True
        return test
    for clip in reversed(order[1:]):
        rows = ids == clip
        if test.any() and test.sum() + rows.sum() > share * len(ids):
            break
        test |= rows
    return test
