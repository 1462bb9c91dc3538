"""From one picture: frames of the video diffusion model in the place of a head's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from flows.config import SynthesizeConfig
from flows.errors import FlowError, NothingToDo
from flows.features import FeatureNames
from flows.reading import clips_with
from flows.synthesis.driving import CALM
from flows.synthesis.look import OneShot
from flows.synthesis.motions import Motions
from models import Timeline
from models.labels import label_frames
from store import Snapshot

if TYPE_CHECKING:
    from render.diffusion.checkpoint import SavedPortrait
    from render.diffusion.config import NoiseConfig
    from render.diffusion.portrait import Portrait

MODEL = "portrait.safetensors"


@dataclass(frozen=True)
class Shot:
    """A model and the face it is to draw."""

    model: "Portrait"
    noise: "NoiseConfig"
    """The chain it was trained with."""
    picture: UInt8[np.ndarray, "s s 3"]
    """At the model's size."""
    whose: str
    """Where the picture comes from, for the record."""


def find_portrait(folder: Path) -> None:
    """Say what to do where there is no video diffusion model.

    Raises:
        NothingToDo: there is none.
    """
    if not (folder / MODEL).is_file():
        raise NothingToDo(
            f"{folder} holds no video diffusion model, which draws from one picture; train it: "
            f"emohead train portrait --out {folder.parent}"
        )


def check_request(config: SynthesizeConfig, one: OneShot) -> None:
    """Refuse what only a head can do, and a face of nobody.

    Raises:
        FlowError: names the option.
    """
    look = config.look
    given = {
        "--background": look.background != "original",
        "--pose-from": look.pose_from is not None,
        "--orbit": look.orbit is not None or look.orbit_pitch > 0,
        "--render-size": config.render_size is not None,
    }
    if wrong := [option for option, is_given in given.items() if is_given]:
        raise FlowError(
            f"{wrong[0]}: a face that is drawn from one picture keeps the picture's background and "
            "view; leave the option out, or let a head speak (--draw head)"
        )
    if one.picture is None and not config.identity:
        raise FlowError(
            "whose face is not said; give a picture of one face (--picture), or a person of the "
            "store (--identity)"
        )
    if one.picture is not None and not one.picture.is_file():
        raise FlowError(f"--picture {one.picture} is not there; give a file with one face")


def opened_shot(config: SynthesizeConfig, one: OneShot, snapshot: Snapshot) -> Shot:
    """Load the model and the picture, and hold both against what the networks read.

    Raises:
        FlowError: the model reads other features than the network; diffusers is not installed.
        NothingToDo: the identity has no frame with a face.
        PictureError: no picture, no face in it, several.
        PortraitFolderError: a model that cannot be loaded.
    """
    saved = saved_in(config.head)
    from render.diffusion.picture import identity_picture

    features = saved.state["provenance"].get("features", {})
    for part in ("audio", "expression"):
        then, now = features.get(part), getattr(config.names, part)
        if then not in (None, now):
            raise FlowError(
                f"{config.head} was trained on {then}, the network speaks in {now}; train one of "
                "them again, from the same features"
            )
    size = saved.training.network.size
    if one.picture is not None:
        picture, whose = identity_picture(one.picture, size), str(one.picture)
    else:
        picture, whose = first_face(snapshot, config.dataset, config.names, config.identity, size)
    return shot_of(saved, picture, whose)


def saved_in(folder: Path) -> "SavedPortrait":
    """The stored model of a folder.

    Raises:
        FlowError: diffusers is not installed.
        PortraitFolderError: a model that cannot be loaded.
    """
    try:
        from render.diffusion.checkpoint import read
    except ModuleNotFoundError as error:
        raise FlowError(
            f"{error.name} is not installed; `pip install 'emohead[diffusion]'` brings it"
        ) from error
    return read(folder / MODEL)


def shot_of(saved: "SavedPortrait", picture: UInt8[np.ndarray, "s s 3"], whose: str) -> Shot:
    """A stored model with the face it is to draw."""
    from render.diffusion.checkpoint import portrait_of

    return Shot(portrait_of(saved), saved.training.noise, picture, whose)


def first_face(
    snapshot: Snapshot, dataset: str, names: FeatureNames, identity: str, size: int
) -> tuple[UInt8[np.ndarray, "s s 3"], str]:
    """The first frame with a face, of a calm clip if there is one, and where it is.

    Raises:
        NothingToDo: the identity has none; says who has.
    """
    table = snapshot.clips(dataset)
    usable = clips_with(snapshot, dataset, (names.frames, names.expression))
    own = [c for c in usable if table.identity[c] == identity]
    if found := face_among(snapshot, dataset, names, own, size):
        return found
    known = ", ".join(sorted({str(table.identity[c]) for c in usable})) or "none"
    raise NothingToDo(
        f"identity {identity!r} has no frame with a face in the store; people who do: {known}. "
        "Or give a picture of one face (--picture)"
    )


def face_among(
    snapshot: Snapshot, dataset: str, names: FeatureNames, clips: Sequence[str], size: int
) -> tuple[UInt8[np.ndarray, "s s 3"], str] | None:
    """The first frame with a face of these clips, calm ones first, and where it is."""
    from render.diffusion.data import shrink

    emotion = snapshot.clips(dataset).emotion
    for clip_id in sorted(clips, key=lambda clip: (emotion[clip] or "") not in CALM):
        seen = np.isfinite(snapshot.read(dataset, names.expression, clip_id)).all(axis=1)
        if seen.any():
            at = int(seen.argmax())
            frame = snapshot.read(dataset, names.frames, clip_id, at, at + 1)
            return shrink(frame, size)[0], f"frame {at} of clip {clip_id}"
    return None


def drawn(
    shot: Shot,
    one: OneShot,
    alpha: Float32[np.ndarray, "frames k"],
    audio: Float32[np.ndarray, "heard width"],
    emotion: str | None,
    start: int,
    folder: Path,
) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    """Frames from `start` on, at the model's size.

    Args:
        shot: model and picture.
        one: how it is sampled.
        alpha: expression of each frame, whitened.
        audio: sound of each frame, as the model heard it in training.
        emotion: timeline, for a model with experts.
        start: first frame that is wanted.
        folder: what it takes to go on is kept there.
    """
    from render.diffusion.animate import Sampling, animate
    from render.diffusion.guidance import Guidance

    scales = Guidance(one.picture_scale, one.audio_scale, one.expression_scale)
    motions = Motions(folder)
    after = motions.before(start)
    at = 0 if after is None else after.start
    for chunk in animate(
        shot.model,
        shot.noise,
        shot.picture,
        audio,
        alpha,
        Sampling(one.steps, one.solver, scales, one.seed),
        asked_of(shot, emotion, len(alpha)),
        after=after,
        keep=motions.keep,
    ):
        for frame in chunk:
            if at >= start:
                yield frame
            at += 1


def asked_of(
    shot: Shot, emotion: str | None, frames: int
) -> Float32[np.ndarray, "frames told"] | None:
    """What the model's experts are told of each frame; None where it has none.

    Raises:
        EmotionError: an emotion its experts do not know.
    """
    experts = shot.model.config.experts
    if experts is None:
        return None
    from render.diffusion.experts import told

    if emotion is None:
        return told(frames, None, None, experts)
    return told(
        frames, label_frames(Timeline.parse(emotion), frames, experts.labels), None, experts
    )


def enlarged(frame: UInt8[np.ndarray, "s s 3"], size: int) -> UInt8[np.ndarray, "size size 3"]:
    """A frame at the side of the video; always a copy."""
    side = len(frame)
    if side == size:
        return frame.copy()
    way = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(frame, (size, size), interpolation=way))
