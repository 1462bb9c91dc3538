"""Where one shot ends and the next begins, from tiny pictures of every frame.

A cut changes most of the picture between two frames and the change stays: the three frames before
and the three after differ in all pairs. A flash comes back, a fast move is spread over its
neighbours. Dissolves and fades are not looked for.
"""

from dataclasses import dataclass

import av
import numpy as np
from jaxtyping import Int64, UInt8

_SIDE = 16
"""Side of the tiny pictures; each of their pixels is the mean of `_POINTS`^2 sampled ones."""
_POINTS = 4
_AROUND = 3
"""Frames before and after a cut that must all differ."""
_NEAR = 6
"""Frames on either side whose changes are the usual motion."""
_BLOCK = 4096
"""Tiny pictures kept at a time; a film of ten hours needs no more."""


@dataclass(frozen=True)
class CutConfig:
    """When a change counts as a cut."""

    change: float = 9.0
    """Least mean difference of tiny pictures (0-255, means taken out) across the cut."""
    prominence: float = 2.5
    """Times the largest frame-to-frame change nearby by which a cut stands out."""


class CutFinder:
    """Looks at the frames of a stream one by one; memory does not grow with its length."""

    def __init__(self, config: CutConfig | None = None) -> None:
        """`config` None: the measured defaults."""
        self.config = config or CutConfig()
        self._tiny: list[np.ndarray] = []
        self._first = 0
        self._found: list[int] = []

    def see(self, frame: av.VideoFrame) -> None:
        """Look at the next frame."""
        self.add(tiny(frame))

    def add(self, picture: UInt8[np.ndarray, "16 16"]) -> None:
        """Look at the next frame's tiny picture."""
        self._tiny.append(picture)
        if len(self._tiny) >= _BLOCK:
            keep = 4 * _NEAR
            self._search(len(self._tiny) - 2 * _NEAR)
            self._first += len(self._tiny) - keep
            self._tiny = self._tiny[-keep:]

    def cuts(self) -> list[int]:
        """Numbers of the frames that begin a new shot, counted from the first one seen."""
        self._search(len(self._tiny))
        return list(self._found)

    def _search(self, until: int) -> None:
        """Look for cuts before frame `until` of the block."""
        if len(self._tiny) < 2:
            return
        for at in cuts_in(np.stack(self._tiny), self.config):
            number = self._first + int(at)
            if at < until and number not in self._found[-4:]:
                self._found.append(number)


def luma_of(frame: av.VideoFrame) -> UInt8[np.ndarray, "height width"]:
    """The first plane (luma of any YUV) as 8 bits, without a conversion."""
    plane = frame.planes[0]
    depth = frame.format.components[0].bits
    data = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height]
    if depth > 8:
        data = (data.view("<u2") >> (depth - 8)).astype(np.uint8)
    return data[:, : plane.width] if frame.format.is_planar else data


def tiny(frame: av.VideoFrame) -> UInt8[np.ndarray, "16 16"]:
    """A thumbnail of the first plane, by sampling."""
    data = luma_of(frame)
    count = _SIDE * _POINTS
    rows = (np.arange(count) + 0.5) * data.shape[0] / count
    columns = (np.arange(count) + 0.5) * data.shape[1] / count
    points = data[np.ix_(rows.astype(int), columns.astype(int))].astype(np.uint16)
    return (points.reshape(_SIDE, _POINTS, _SIDE, _POINTS).sum(axis=(1, 3)) // _POINTS**2).astype(
        np.uint8
    )


def cuts_in(
    pictures: UInt8[np.ndarray, "frames 16 16"], config: CutConfig
) -> Int64[np.ndarray, " cuts"]:
    """Indices of frames that begin a shot; see the module."""
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)  # a lamp is no cut
    step = np.zeros(len(flat), np.float32)
    step[1:] = np.abs(flat[1:] - flat[:-1]).mean(axis=1)
    found = []
    for at in np.flatnonzero(step >= config.change):
        if not _AROUND <= at <= len(flat) - _AROUND:
            continue  # too short to tell a shot from a flash
        before = flat[max(0, at - _AROUND) : at]
        after = flat[at : at + _AROUND]
        across = np.abs(before[:, None] - after[None]).mean(axis=2).min()
        near = np.r_[step[max(1, at - _NEAR) : at], step[at + 1 : at + 1 + _NEAR]]
        usual = float(near.max(initial=0.0))
        if across >= config.change and step[at] >= config.prominence * usual:
            found.append(at)
    return np.array(found, np.int64)
