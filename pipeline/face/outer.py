"""What surrounds the face: hair, skin, neck or cloth, by place and by the clip's own colours."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt8

from pipeline.face import indices, labels

_CLASSES = np.array([labels.HAIR, labels.SKIN, labels.NECK, labels.CLOTH], np.uint8)
_HAIR, _SKIN, _NECK, _CLOTH = range(4)
_BITS = 4
"""Bits per colour channel in the histograms: 16 shades each."""
_COLOURS = 1 << 3 * _BITS
_FLOOR = 2e-3
"""Share of each histogram spread evenly: a colour never seen decides nothing."""
_UNSEEN = -6.5
"""Log-likelihood of any colour under stuff of which the clip shows no sure example."""
_SHADOW = (1.0, 0.8, 0.62)
"""The neck is skin in these shares of the cheeks' light."""
_FOREIGN = -8.0
"""Log-likelihood under skin below which a colour is surely not skin."""
_BLUR = 5
"""Neighbourhood, pixels of the half-size picture, over which evidence is averaged."""

Seed = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Frame [size, size, 3], person [size, size], landmarks [points, 3]."""


View = tuple[
    UInt8[np.ndarray, "half half 3"],
    Bool[np.ndarray, "half half"],
    Float32[np.ndarray, "half half"],
    Float32[np.ndarray, "half half"],
]
"""Half-size frame and person, and each pixel's place: across and down the face."""


class OuterParts:
    """Colours of one clip's skin, hair and cloth, and the labels they lead to."""

    def __init__(self, seeds: Sequence[Seed]) -> None:
        """Learn the colours from a few frames of the clip, where place alone is certain."""
        views = [_half(*seed) for seed in seeds]
        skin, neck, crown = (np.zeros(_COLOURS) for _ in range(3))
        for small, inside, across, down in views:
            off = np.abs(across)
            cheeks = inside & (off < 0.7) & (down > 0.05) & (down < 0.95)
            cheeks &= ~((off < 0.45) & (down > 0.62))  # not lips, teeth, beard
            skin += _count(small[cheeks])
            for light in _SHADOW:
                neck += _count((small[cheeks] * light).astype(np.uint8))
            crown += _count(small[inside & (down < -0.18) & (off < 1.1)])
        self._score = np.full((_COLOURS, 4), _UNSEEN, np.float32)
        for column, counts in ((_HAIR, crown), (_SKIN, skin), (_NECK, neck)):
            self._score[:, column] = _log_share(counts)
        self._long = self._hair_is_long(views)
        cloth = np.zeros(_COLOURS)
        for small, inside, across, down in views:
            code = _codes(small)
            where = inside & (down > 1.12) & (self._score[code, _NECK] < _FOREIGN)
            if self._long:
                where &= self._score[code, _HAIR] < _FOREIGN
            cloth += np.bincount(code[where], minlength=_COLOURS)
            where = inside & (down > 1.2) & (np.abs(across) > (1.8 if self._long else 1.0))
            cloth += np.bincount(code[where], minlength=_COLOURS)
        self._score[:, _CLOTH] = _log_share(cloth)

    def label(
        self,
        frame: UInt8[np.ndarray, "size size 3"],
        person: Bool[np.ndarray, "size size"],
        landmarks: Float32[np.ndarray, "points 3"],
    ) -> UInt8[np.ndarray, "size size"]:
        """Labels of the whole person but for the face's inner parts; background 0."""
        small, _, across, down = _half(frame, person, landmarks)
        evidence = cv2.blur(self._score[_codes(small)], (_BLUR, _BLUR))
        chosen = _CLASSES[np.argmax(evidence + _place(across, down, self._long), axis=-1)]
        whole = chosen.repeat(2, axis=0).repeat(2, axis=1)
        return np.where(person, whole[: person.shape[0], : person.shape[1]], labels.BACKGROUND)

    def _hair_is_long(self, views: list[View]) -> bool:
        """Whether hair hangs beside the jaw: short hair leaves background there."""
        hanging = room = 0
        for small, inside, across, down in views:
            off = np.abs(across)
            beside = (off > 1.08) & (off < 1.4) & (down > 0.7) & (down < 0.95)
            score = self._score[_codes(small)]
            hair = score[..., _HAIR] > score[..., _SKIN]
            hanging += int((inside & hair & beside).sum())
            room += int(beside.sum())
        return hanging > 0.35 * room


def _log_share(counts: Float64[np.ndarray, " colours"]) -> Float64[np.ndarray, " colours"]:
    """Log-likelihood of each colour, shared with its neighbours: the same stuff in other light."""
    if counts.sum() < 50:
        return np.full(_COLOURS, _UNSEEN)
    cube = counts.reshape(3 * (1 << _BITS,))
    for axis in range(3):
        padded = np.pad(cube, [(int(k == axis), int(k == axis)) for k in range(3)])
        low, high = (np.take(padded, range(s, s + (1 << _BITS)), axis) for s in (0, 2))
        cube = cube + 0.6 * (low + high)
    return np.log((1 - _FLOOR) * cube.ravel() / cube.sum() + _FLOOR / _COLOURS)


def _half(
    frame: UInt8[np.ndarray, "size size 3"],
    person: Bool[np.ndarray, "size size"],
    landmarks: Float32[np.ndarray, "points 3"],
) -> View:
    """Half-size frame and person, and each pixel's place in the face's axes.

    `across` is 0 on the face's middle line and 1 at the ears; `down` is 0 at the top of the
    forehead and 1 at the chin.
    """
    half = (len(frame) + 1) // 2
    small = cv2.resize(frame, (half, half), interpolation=cv2.INTER_AREA)
    inside = person[::2, ::2]
    top, chin = landmarks[indices.FOREHEAD_TOP, :2], landmarks[indices.CHIN, :2]
    ears = landmarks[list(indices.EARS), :2]
    length = float(np.linalg.norm(chin - top)) or 1.0
    axis = (chin - top) / length
    side = np.array([axis[1], -axis[0]], np.float32)
    reach = (ears - top) @ side
    middle, width = float(reach.mean()), float(np.ptp(reach)) / 2 or 1.0
    y, x = np.mgrid[0:half, 0:half].astype(np.float32) * 2
    dx, dy = x - top[0], y - top[1]
    across = (dx * side[0] + dy * side[1] - middle) / width
    down = (dx * axis[0] + dy * axis[1]) / length
    return small, inside, across.astype(np.float32), down.astype(np.float32)


def _place(
    across: Float32[np.ndarray, "half half"],
    down: Float32[np.ndarray, "half half"],
    long_hair: bool,
) -> Float32[np.ndarray, "half half 4"]:
    """Log-odds of hair, skin, neck and cloth by place alone."""
    out = np.empty((*across.shape, 4), np.float32)
    off = np.abs(across)
    under = np.clip((down - 0.92) * 12, -6, 6)  # skin ends at the jaw, there the neck begins
    beyond = np.maximum(off - 0.8, 0)
    out[..., _SKIN] = -np.maximum(under, 0) - 14 * np.maximum(-0.12 - down, 0)
    out[..., _SKIN] -= 4 * np.maximum(off - 1.15, 0) + 12 * np.maximum(off - 0.9, 0) * (down > 0.9)
    out[..., _NECK] = np.minimum(under, 0) - 6 * beyond - 8 * np.maximum(down - 1.5, 0)
    out[..., _CLOTH] = -8 * np.maximum(1.1 - down, 0) - 8 * np.maximum(1.25 - down - off, 0)
    if long_hair:
        out[..., _HAIR] = -5 * np.maximum(down - 0.95, 0) * (off < 0.6)
        out[..., _HAIR] -= 5 * np.maximum(down - 1.15, 0) * (1 + np.maximum(off - 1.2, 0))
    else:
        out[..., _HAIR] = -25 * np.maximum(down - 0.75, 0)
    return out


def _codes(picture: UInt8[np.ndarray, "*pixels 3"]) -> Int32[np.ndarray, "*pixels"]:
    """One number per colour: the upper bits of each channel."""
    shades = (picture >> (8 - _BITS)).astype(np.int32)
    return (shades[..., 0] << 2 * _BITS) | (shades[..., 1] << _BITS) | shades[..., 2]


def _count(pixels: UInt8[np.ndarray, "pixels 3"]) -> Int64[np.ndarray, " colours"]:
    return np.bincount(_codes(pixels), minlength=_COLOURS)
