"""One picture of a person: coefficients and pose in, RGB out."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from pipeline.samples.frame import DISTANCE
from pipeline.samples.person import GAZE_UNITS, Person
from pipeline.samples.portrait import WINDOW
from pipeline.samples.rasterise import rasterise, shade_over
from pipeline.samples.skin import plate_at

_SUPERSAMPLING = 2
_LIGHT = np.array([-0.45, -0.65, -0.62])
_LIGHT_STRENGTH = 0.38


@dataclass
class Painter:
    """Paints one person at one picture size; keeps its buffers between frames."""

    person: Person
    size: int
    """Side of the picture, pixels."""
    _fine: int = field(init=False)
    _plate: np.ndarray = field(init=False)
    _nearness: np.ndarray = field(init=False)
    _attributes: np.ndarray = field(init=False)
    _picture: np.ndarray = field(init=False)
    _rest_light: np.ndarray = field(init=False)
    _triangles: np.ndarray = field(init=False)
    _texture: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """Allocate for the size."""
        self._fine = fine = _SUPERSAMPLING * self.size
        self._plate = plate_at(self.person.skin, fine)
        self._nearness = np.zeros((fine, fine), np.float32)
        self._attributes = np.zeros((fine, fine, 3), np.float32)
        self._picture = np.zeros((fine, fine, 3), np.float32)
        self._triangles = np.ascontiguousarray(self.person.triangles, np.int32)
        self._texture = np.ascontiguousarray(self.person.texture, np.float32)
        self._rest_light = self._light(self._to_camera(self.person.neutral))

    def _to_camera(self, head: np.ndarray) -> np.ndarray:
        frame = self.person.frame
        return head @ frame.rotation.T + frame.translation

    def _light(self, camera: np.ndarray) -> np.ndarray:
        a, b, c = (camera[self._triangles[:, k]] for k in range(3))
        normal = np.cross(b - a, c - a)
        # all triangles face the viewer in the portrait, whichever way they are wound
        normal *= -np.sign(normal[:, 2:] + 1e-12)
        total = np.zeros_like(camera)
        for k in range(3):
            for axis in range(3):
                total[:, axis] += np.bincount(
                    self._triangles[:, k], normal[:, axis], minlength=len(camera)
                )
        total /= np.linalg.norm(total, axis=1, keepdims=True) + 1e-9
        return total @ (_LIGHT / np.linalg.norm(_LIGHT))

    def paint(
        self,
        coefficients: Float[np.ndarray, "10"],
        rotation: Float[np.ndarray, "3 3"],
        translation: Float[np.ndarray, "3"],
        gaze: Float[np.ndarray, "2"],
    ) -> UInt8[np.ndarray, "size size 3"]:
        """RGB. The pose is camera = rotation @ head + translation, in units."""
        person = self.person
        head = person.basis.apply(person.neutral, coefficients)
        head[:, :2] += GAZE_UNITS * person.gaze[:, None] * gaze
        still, moved = self._to_camera(head), head @ rotation.T + translation
        camera = still + person.follow[:, None] * (moved - still)
        change = self._light(camera) - self._rest_light
        shade = person.shade * np.clip(1 + _LIGHT_STRENGTH * person.lit * change, 0.75, 1.25)
        near = 1.0 / camera[:, 2]
        screen = np.empty((len(camera), 3), np.float32)
        screen[:, :2] = camera[:, :2] * (near * DISTANCE * self._fine / WINDOW)[:, None]
        screen[:, :2] += self._fine / 2
        screen[:, 2] = near
        self._nearness.fill(0)
        rasterise(
            screen, self._texture, shade.astype(np.float32), self._triangles,
            self._nearness, self._attributes,
        )  # fmt: skip
        shade_over(self._nearness, self._attributes, person.skin.atlas, self._plate, self._picture)
        small = cv2.resize(self._picture, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return np.clip(small + 0.5, 0, 255).astype(np.uint8)
