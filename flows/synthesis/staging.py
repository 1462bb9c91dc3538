"""A scene from a store: the head, the body under it, what lies behind, the mark."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8

from flows.config import SynthesizeConfig
from flows.features import FeatureNames
from flows.synthesis.driving import Body, Driving, sampled
from flows.train_head import head_clips
from render.backdrop import TorsoLayers, background_plate
from render.backgrounds import ORIGINAL, TRANSPARENT, Background, Still, fitted
from render.head import load_head
from render.head_data import HeadData
from render.marks import VisibleMark
from render.scene import Beneath, Scene, Torso
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
    names = config.names
    clips = head_clips(snapshot, config.dataset, config.identity, names)
    everything = sampled(snapshot, config.dataset, clips, names)
    plate = background_plate(everything)
    beneath = recorded_torso(snapshot, config.dataset, course.body_of, names, plate)
    seen = finite(everything).cameras
    return set_stage(config, alpha, course, plate, beneath, seen, background)


def recorded_torso(
    snapshot: Snapshot,
    dataset: str,
    clip_id: str,
    names: FeatureNames,
    plate: UInt8[np.ndarray, "s s 3"],
) -> Beneath:
    """Frames of a clip without the head; read as they are asked for."""
    layers = TorsoLayers.of(sampled(snapshot, dataset, [clip_id], names), plate)
    body = Body(snapshot, dataset, clip_id, names)
    return lambda row: layers.without_head(*body(row))


def set_stage(
    config: SynthesizeConfig,
    alpha: Float32[np.ndarray, "frames k"],
    course: Driving,
    plate: UInt8[np.ndarray, "s s 3"],
    beneath: Beneath,
    seen: Float[np.ndarray, "n 3 4"],
    background: Background | None = None,
) -> Stage:
    """The head over what lies beneath it, before the plate or another background.

    Raises:
        HeadFolderError: no head in its folder.
    """
    look = config.look
    size = look.size or len(plate)
    if look.background == ORIGINAL:
        background = Still(fitted(plate, size), {"scene": "as filmed"})
    torso = Torso(beneath, course.rows, size, cut=look.background != ORIGINAL)
    scene = Scene(
        load_head(config.head),
        alpha,
        course.cameras,
        size,
        config.render_size or len(plate),
        torso,
        background,
        VisibleMark.of(size) if look.visible_mark else None,
        seen=None if course.poses_of == course.body_of else seen,
    )
    return Stage(scene, {TRANSPARENT: True} if background is None else background.record, seen)


def finite(data: HeadData) -> HeadData:
    """Rows with a pose."""
    rows = np.flatnonzero(np.isfinite(data.cameras).all((1, 2)))
    return data.take(rows)
