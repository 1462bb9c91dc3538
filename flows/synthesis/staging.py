"""A scene from a store: the head, the body under it, what lies behind, the mark."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from flows.config import SynthesizeConfig
from flows.synthesis.driving import Body, Driving, sampled
from flows.train_head import head_clips
from render.backdrop import TorsoLayers, background_plate
from render.backgrounds import ORIGINAL, TRANSPARENT, Background, Still, fitted
from render.head import load_head
from render.head_data import HeadData
from render.marks import VisibleMark
from render.scene import Scene, Torso
from store import Snapshot


@dataclass(frozen=True)
class Stage:
    """A scene, and what the record says of it."""

    scene: Scene
    background: dict[str, Any]
    seen: Float[np.ndarray, "n 3 4"]
    """Poses in which the identity was recorded."""


def frame_size(config: SynthesizeConfig, snapshot: Snapshot) -> int:
    """Side of the video: asked for, or that of the stored frames."""
    stored = int(snapshot.features(config.dataset)[config.names.frames].shape[0])
    return config.look.size or stored


def staged(
    config: SynthesizeConfig,
    snapshot: Snapshot,
    alpha: Float32[np.ndarray, "frames k"],
    course: Driving,
    background: Background | None = None,
) -> Stage:
    """Put a scene together; some 80 frames of the identity and 100 of the clip are held.

    Args:
        config: what is asked for.
        snapshot: where the identity's clips lie.
        alpha: expression of each frame.
        course: cameras and bodies of each frame.
        background: what is put behind; not read where the scene stays as filmed.

    Raises:
        HeadFolderError: no head in its folder.
    """
    look, names = config.look, config.names
    clips = head_clips(snapshot, config.dataset, config.identity, names)
    everything = sampled(snapshot, config.dataset, clips, names)
    plate = background_plate(everything)
    size = frame_size(config, snapshot)
    if look.background == ORIGINAL:
        background = Still(fitted(plate, size), {"scene": "as filmed"})
    torso = None
    if course.rows is not None:
        torso = Torso(
            TorsoLayers.of(sampled(snapshot, config.dataset, [course.body_of], names), plate),
            Body(snapshot, config.dataset, course.body_of, names),
            course.rows,
            size,
            cut=look.background != ORIGINAL,
        )
    scene = Scene(
        load_head(config.head),
        alpha,
        course.cameras,
        size,
        config.render_size or everything.size,
        torso,
        background,
        VisibleMark.of(size) if look.visible_mark else None,
    )
    return Stage(
        scene,
        {TRANSPARENT: True} if background is None else background.record,
        finite(everything).cameras,
    )


def finite(data: HeadData) -> HeadData:
    """Rows with a pose."""
    rows = np.flatnonzero(np.isfinite(data.cameras).all((1, 2)))
    return data.take(rows)
