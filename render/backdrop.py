"""What lies behind the head: the background plate of an identity, and the torso layer of a frame.

The plate takes each pixel from frames where it shows the background well clear of the person
(RAD-NeRF's idea, ashawkey/RAD-NeRF: data_utils/process.py); what no frame shows is in-painted.
The torso layer is the driving frame with the head taken out; the hole is filled from other frames,
where the head left that pixel free, else in-painted from neck and clothes around it.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from render.errors import HeadDataError
from render.head_data import HeadData
from render.masks import head_mask, person_mask, soft

CLEAR = 5
"""Pixels a background pixel must lie from the person to be believed."""
EDGE = 1.0
"""Softness of a cut-out body's edge, pixels."""
RIM = 3
"""Pixels from the edge of a body where its colours are mixed with the scene's."""
_SAMPLES = 60


def background_plate(data: HeadData) -> UInt8[np.ndarray, "s s 3"]:
    """The scene without the person: median over frames that show a pixel, in-painted elsewhere.

    Raises:
        HeadDataError: there is no frame.
    """
    rows = _some(data)
    if len(rows) == 0:
        raise HeadDataError(
            f"background plate: none of {len(data.frames)} frames has face, camera and parsing; "
            "give a clip in which the person is found"
        )
    free = np.array([_clear_of(person_mask(data.labels[i]), CLEAR) for i in rows])
    plate = _median(data.frames[rows], free)
    never = ~free.any(0)
    if never.all():
        # A person who fills the picture: there is no background to show, any plate will do.
        return np.full_like(plate, 127)
    return fill_hole(plate, np.asarray(never))


def _median(
    frames: UInt8[np.ndarray, "n s s 3"], valid: Bool[np.ndarray, "n s s"]
) -> UInt8[np.ndarray, "s s 3"]:
    """Median of the valid values of each pixel; anything where none is.

    Sorted as bytes, what is not valid last: five times faster than a masked median of floats.
    """
    ordered = np.sort(np.where(valid[..., None], frames, np.uint8(255)), axis=0)
    count = np.maximum(valid.sum(0), 1)[None, :, :, None]
    low, high = (
        np.take_along_axis(ordered, np.broadcast_to(at, (1, *ordered.shape[1:])), 0)[0]
        for at in ((count - 1) // 2, count // 2)
    )
    return ((low.astype(np.uint16) + high) // 2).astype(np.uint8)


@dataclass
class TorsoLayers:
    """Neck and clothes of every frame, with the head taken out and the hole filled."""

    data: HeadData
    plate: UInt8[np.ndarray, "s s 3"]
    _body: Float[np.ndarray, "s s 3"]
    _known: Bool[np.ndarray, "s s"]

    @staticmethod
    def of(data: HeadData, plate: UInt8[np.ndarray, "s s 3"]) -> "TorsoLayers":
        """Gather, over all frames, what the body looks like where the head mostly hides it."""
        size = data.size
        total, count = np.zeros((size, size, 3)), np.zeros((size, size))
        for i in _some(data):
            body = person_mask(data.labels[i]) & _clear_of(head_mask(data.labels[i]), 2)
            total[body] += data.frames[i][body]
            count += body
        known = count > 0
        body = np.zeros((size, size, 3), np.float32)
        body[known] = total[known] / count[known, None]
        return TorsoLayers(data, plate, body, known)

    def layer(self, i: int) -> UInt8[np.ndarray, "s s 3"]:
        """Frame i as it would be without the head: plate, torso, and the filled hole."""
        return self.layer_of(self.data.frames[i], self.data.labels[i])

    def layer_of(
        self, frame: UInt8[np.ndarray, "s s 3"], labels: UInt8[np.ndarray, "s s"]
    ) -> UInt8[np.ndarray, "s s 3"]:
        """A frame as it would be without the head: plate, torso, and the filled hole."""
        return self.without_head(frame, labels)[0]

    def cut_out(
        self, frame: UInt8[np.ndarray, "s s 3"], labels: UInt8[np.ndarray, "s s"]
    ) -> UInt8[np.ndarray, "s s 4"]:
        """Neck and clothes alone; see `cut_out`."""
        return cut_out(*self.without_head(frame, labels))

    def without_head(
        self, frame: UInt8[np.ndarray, "s s 3"], labels: UInt8[np.ndarray, "s s"]
    ) -> tuple[UInt8[np.ndarray, "s s 3"], Bool[np.ndarray, "s s"]]:
        """The picture, and where in it the body is."""
        grown = cv2.dilate(head_mask(labels).astype(np.uint8), np.ones((5, 5), np.uint8))
        hole = np.asarray(grown) > 0
        body = person_mask(labels) & ~hole
        # A pixel of the hole belongs to whatever is nearer: throat and shoulders, or the scene.
        to_body, to_scene = _distance(body), _distance(~body & ~hole)
        is_body = hole & (to_body <= to_scene)
        out = frame.copy()
        out[hole & ~is_body] = self.plate[hole & ~is_body]
        seen = is_body & self._known
        out[seen] = self._body[seen].astype(np.uint8)
        rest = is_body & ~seen
        filled = fill_hole(out, rest, source=body | seen)
        # Averages of many frames meet this frame's own pixels at the hole's rim: no hard step.
        return _feathered(frame, filled, hole), body | is_body


def cut_out(
    picture: UInt8[np.ndarray, "s s 3"], body: Bool[np.ndarray, "s s"]
) -> UInt8[np.ndarray, "s s 4"]:
    """Neck and clothes of a picture without head, premultiplied by their soft-edged opacity.

    Colours at the edge are the body's own, drawn outwards: nothing of the old scene shines
    through.
    """
    opacity = np.clip(soft(_shrunk(body, 1), EDGE), 0, 1)
    inner = _shrunk(body, RIM)
    colours = fill_hole(picture, ~inner) if inner.any() else picture
    cut = np.empty((*body.shape, 4), np.uint8)
    cut[..., :3] = colours * opacity[..., None] + 0.5
    cut[..., 3] = opacity * 255 + 0.5
    return cut


def _shrunk(mask: Bool[np.ndarray, "s s"], pixels: int) -> Bool[np.ndarray, "s s"]:
    """The mask without its outermost pixels; the picture's own border is no edge."""
    side = 2 * pixels + 1
    return np.asarray(cv2.erode(mask.astype(np.uint8), np.ones((side, side), np.uint8))) > 0


def _distance(mask: Bool[np.ndarray, "s s"]) -> Float[np.ndarray, "s s"]:
    """Pixels to the nearest member of the mask; infinite where it has none."""
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    away = (~mask).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(away, cv2.DIST_L2, 5), np.float32)


def _feathered(
    outside: UInt8[np.ndarray, "s s 3"],
    inside: UInt8[np.ndarray, "s s 3"],
    hole: Bool[np.ndarray, "s s"],
) -> UInt8[np.ndarray, "s s 3"]:
    """`inside` in the hole, `outside` around it, blurred across the filled side of the rim."""
    blurred = np.asarray(cv2.GaussianBlur(inside, (0, 0), 1.5))
    depth = np.minimum(_distance(~hole) / 4, 1)[..., None]
    mixed = depth * inside + (1 - depth) * blurred
    out = outside.copy()
    out[hole] = mixed[hole].astype(np.uint8)
    return out


def fill_hole(
    image: UInt8[np.ndarray, "s s 3"],
    hole: Bool[np.ndarray, "s s"],
    source: Bool[np.ndarray, "s s"] | None = None,
) -> UInt8[np.ndarray, "s s 3"]:
    """In-paint the hole smoothly: coarse to fine averages of `source` (push-pull).

    source: pixels to take colours from; by default everything outside the hole.

    OpenCV's in-painting streaks over holes as large as a head; a pyramid of known averages does
    not.
    """
    known = ~hole if source is None else source & ~hole
    if not hole.any() or not known.any():
        return image
    weight = known.astype(np.float32)
    values = image.astype(np.float32) * weight[..., None]
    pyramid: list[tuple[Any, Any]] = [(values, weight)]
    while min(pyramid[-1][1].shape) > 1:
        v, w = pyramid[-1]
        half = ((w.shape[1] + 1) // 2, (w.shape[0] + 1) // 2)
        pyramid.append(
            (
                cv2.resize(v, half, interpolation=cv2.INTER_AREA),
                cv2.resize(w, half, interpolation=cv2.INTER_AREA),
            )
        )
    v, w = pyramid[-1]
    filled = v / np.maximum(w, 1e-6)[..., None]
    for v, w in reversed(pyramid[:-1]):
        coarse = cv2.resize(filled, (w.shape[1], w.shape[0]), interpolation=cv2.INTER_LINEAR)
        own = np.minimum(w * 4, 1)[..., None]
        sharp = v / np.maximum(w, 1e-6)[..., None]
        filled = own * sharp + (1 - own) * np.asarray(coarse)
    out = image.copy()
    out[hole] = np.clip(filled[hole], 0, 255).astype(np.uint8)
    return out


def _some(data: HeadData) -> np.ndarray:
    """Up to 60 usable frames, evenly spread."""
    rows = np.flatnonzero(data.usable())
    return rows[np.linspace(0, len(rows) - 1, min(_SAMPLES, len(rows))).astype(int)]


def _clear_of(mask: Bool[np.ndarray, "s s"], pixels: int) -> Bool[np.ndarray, "s s"]:
    """Pixels farther than `pixels` from the mask."""
    side = 2 * pixels + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8))) == 0
