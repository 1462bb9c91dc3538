"""All frames of a video in order: head over torso over background, the mark on top."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from render.backdrop import cut_out
from render.backgrounds import Background
from render.compositing import over
from render.errors import RenderError
from render.marks import VisibleMark
from render.matte import whole_and_soft
from render.views import within

REMEMBERED = 64 * 2**20
"""Bytes of torso layers kept for when the driving clip comes round again."""


Beneath = Callable[[int], tuple[UInt8[np.ndarray, "s s 3"], Bool[np.ndarray, "s s"]]]
"""A row of the driving clip to its picture without the head, and where in it the body is."""


@runtime_checkable
class Renders(Protocol):
    """What a head can do."""

    def render(
        self,
        camera: Float[np.ndarray, "3 4"],
        alpha: Float[np.ndarray, " k"],
        size: int,
        *,
        coloured_from: Float[np.ndarray, "3 4"] | None = None,
    ) -> tuple[Float[np.ndarray, "s s 3"], Float[np.ndarray, "s s"]]:
        """Colour over black and opacity."""
        ...


@dataclass
class Torso:
    """What lies under the head in each frame of the driving clip."""

    beneath: Beneath
    """The recorded frames."""
    rows: Int[np.ndarray, " frames"]
    """Row under each frame of the video."""
    size: int
    """Side it is wanted at."""
    cut: bool
    """Neck and clothes alone, for another background; else with the scene they were filmed in."""
    _kept: OrderedDict[int, np.ndarray] = field(default_factory=OrderedDict)

    def layer(self, frame: int) -> UInt8[np.ndarray, "s s 4"]:
        """Premultiplied."""
        row = int(self.rows[frame])
        if row in self._kept:
            self._kept.move_to_end(row)
            return self._kept[row]
        picture, body = self.beneath(row)
        if self.cut:
            layer = cut_out(picture, body)
        else:
            layer = np.full((*body.shape, 4), 255, np.uint8)
            layer[..., :3] = picture
        if len(layer) != self.size:
            how = cv2.INTER_AREA if len(layer) > self.size else cv2.INTER_CUBIC
            layer = np.asarray(cv2.resize(layer, (self.size, self.size), interpolation=how))
        self._kept[row] = layer
        while len(self._kept) * layer.nbytes > max(REMEMBERED, layer.nbytes):
            self._kept.popitem(last=False)
        return layer


@dataclass
class Scene:
    """Everything a frame is made of."""

    head: Renders
    alpha: Float[np.ndarray, "frames k"]
    cameras: Float[np.ndarray, "frames 3 4"]
    size: int
    """Side of the frames, pixels."""
    render_size: int
    """Side the head is rendered at, pixels."""
    torso: Torso | None
    background: Background | None
    """None: whatever torso and head leave free is transparent."""
    mark: VisibleMark | None
    seen: Float[np.ndarray, "n 3 4"] | None = None
    """Poses in which the head was recorded, where views go beyond them; None: none does."""

    def __post_init__(self) -> None:
        """Refuse parts of different lengths.

        Raises:
            RenderError: names them.
        """
        rows = len(self.alpha) if self.torso is None else len(self.torso.rows)
        if not len(self.alpha) == len(self.cameras) == rows:
            raise RenderError(
                f"scene: expression for {len(self.alpha)} frames, {len(self.cameras)} cameras, "
                f"{rows} torso rows; make them for the same speech"
            )

    def drawn(
        self, camera: Float[np.ndarray, "3 4"], alpha: Float[np.ndarray, " k"]
    ) -> tuple[Float[np.ndarray, "s s 3"], Float[np.ndarray, "s s"]]:
        """The head alone: colour over black, and opacity.

        Where views go beyond the recorded ones every view is in the colours of the recorded one
        that is nearest to it, and the head one piece with a soft edge.
        """
        if self.seen is None:
            return self.head.render(camera, alpha, self.render_size)
        (held,) = within(camera[None], self.seen)
        return whole_and_soft(
            *self.head.render(camera, alpha, self.render_size, coloured_from=held)
        )

    def frames(self, start: int = 0) -> Iterator[UInt8[np.ndarray, "s s channels"]]:
        """RGB, or RGBA where there is no background, from frame `start` on."""
        behind = None if self.background is None else self.background.frames(start)
        for i in range(start, len(self.alpha)):
            rgb, opacity = self.drawn(self.cameras[i], self.alpha[i])
            torso = None if self.torso is None else self.torso.layer(i)
            frame = over(rgb, opacity, torso, None if behind is None else next(behind), self.size)
            if self.mark is not None:
                self.mark.draw(frame)
            yield frame
