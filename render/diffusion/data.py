"""What a portrait model learns from: small frames, sound and expression of many clips."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from models.data import Split, standard_statistics
from pipeline.face.labels import FACE, FEATURES, part
from render.errors import PortraitDataError


@dataclass(frozen=True)
class PortraitClip:
    """One clip of V frames. Arrays may be memory-mapped."""

    clip_id: str
    identity: str
    emotion: str
    """Canonical tag; "" where none is known (HDTF): such clips teach speech and looks."""
    frames: UInt8[np.ndarray, "frames s s 3"]
    """RGB, at the model's size (see `shrink`)."""
    audio: Float[np.ndarray, "heard audio_width"]
    """One vector a frame (`models.data.read_steps`)."""
    expression: Float[np.ndarray, "felt k"]
    """Coefficients, of one encoder and in one unit for all clips; NaN where no face was found."""
    split: Split = "train"
    asked: Float[np.ndarray, "asked told"] | None = None
    """What is known of each frame's emotion (`render.diffusion.experts.told`), for models with
    experts."""
    moving: UInt8[np.ndarray, "frames s s"] | None = None
    """Where expression shows (see `moving_parts`), 0 to 255; None: nobody looked."""

    def __post_init__(self) -> None:
        """Hold the arrays against each other.

        Raises:
            PortraitDataError: they are not of the same frames, or hold nothing to learn from.
        """
        _check(self)


@dataclass(frozen=True)
class PortraitData:
    """Clips, and where they came from."""

    clips: tuple[PortraitClip, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able: snapshot, features; kept in the checkpoint."""

    def __post_init__(self) -> None:
        """Hold the clips against each other.

        Raises:
            PortraitDataError: no clips, or what does not fit; names clip and both values.
        """
        if not self.clips:
            raise PortraitDataError("portrait: no clips to learn from; add clips with a face")
        first = self.clips[0]
        for clip in self.clips:
            for what, mine, theirs in (
                ("frame size", clip.frames.shape[1], first.frames.shape[1]),
                ("audio channels", clip.audio.shape[1], first.audio.shape[1]),
                ("coefficients", clip.expression.shape[1], first.expression.shape[1]),
                ("channels of the emotion", _asked_width(clip), _asked_width(first)),
                ("maps of moving parts", clip.moving is not None, first.moving is not None),
            ):
                if mine != theirs:
                    raise PortraitDataError(
                        f"portrait: {what}: {mine} in clip {clip.clip_id}, {theirs} in clip "
                        f"{first.clip_id}; read all clips with the same encoders and size"
                    )

    @property
    def size(self) -> int:
        """Side of the frames."""
        return int(self.clips[0].frames.shape[1])

    @property
    def audio_width(self) -> int:
        """Channels of the audio feature."""
        return int(self.clips[0].audio.shape[1])

    @property
    def k(self) -> int:
        """Coefficients of a frame."""
        return int(self.clips[0].expression.shape[1])

    def training(self, emotion_free: bool = True) -> tuple[PortraitClip, ...]:
        """Clips to learn from; without `emotion_free` only those with an emotion label.

        Raises:
            PortraitDataError: there is none.
        """
        train = [clip for clip in self.clips if clip.split == "train"]
        chosen = [clip for clip in train if emotion_free or clip.emotion]
        if not chosen:
            raise PortraitDataError(
                f"portrait: none of {len(self.clips)} clips can be learnt from ({len(train)} are "
                f"not held out, {sum(bool(c.emotion) for c in train)} of them have an emotion "
                "label); add clips, or set emotion_free"
            )
        return tuple(chosen)

    def statistics(self, clips: Sequence[PortraitClip]) -> dict[str, np.ndarray]:
        """Mean and deviation of sound and coefficients, by the names of the model's buffers."""
        audio = np.concatenate([clip.audio for clip in clips])
        expression = np.concatenate([clip.expression for clip in clips])
        expression = expression[np.isfinite(expression).all(axis=1)]
        found = {}
        for name, values in (("audio", audio), ("expression", expression)):
            found[f"{name}_mean"], found[f"{name}_std"] = standard_statistics(values)
        return found

    def digest(self) -> str:
        """Tells two sets of data apart: clips, lengths, labels, some frames of each."""
        digest = hashlib.sha256()
        for clip in self.clips:
            n = len(clip.frames)
            head = (clip.clip_id, clip.identity, clip.emotion, clip.split, n, _asked_width(clip))
            digest.update(repr(head).encode())
            rows = [0, n // 2, n - 1]
            known = (clip.frames, clip.audio, clip.expression, clip.asked, clip.moving)
            for array in (a for a in known if a is not None):
                digest.update(np.ascontiguousarray(array[rows]).tobytes())
        return digest.hexdigest()


def shrink(frames: UInt8[np.ndarray, "n h h 3"], size: int) -> UInt8[np.ndarray, "n s s 3"]:
    """Frames at a smaller size, by area; frames of that size are given back as they are.

    Raises:
        PortraitDataError: they are smaller.
    """
    side = frames.shape[1]
    if side == size:
        return frames
    if side < size:
        raise PortraitDataError(
            f"portrait: frames of {side} px cannot become {size} px; set the model's size to "
            f"{side} or less, or preprocess with a larger size"
        )
    small = np.empty((len(frames), size, size, 3), np.uint8)
    for row, frame in zip(small, frames, strict=True):
        row[:] = cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
    return small


def moving_parts(labels: UInt8[np.ndarray, "n h h"], size: int) -> UInt8[np.ndarray, "n s s"]:
    """Where expression shows: 255 on brows, eyes, lips and around them, 64 on the rest of the face.

    Args:
        labels: of CelebAMask-HQ (`pipeline.face.labels`).
        size: side of the maps; areas are averaged.
    """
    side = labels.shape[1]
    # A raised brow leaves its place by about a twentieth of the crop.
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side // 20 * 2 + 1,) * 2)
    maps = np.empty((len(labels), size, size), np.uint8)
    for row, picture in zip(maps, labels, strict=True):
        near = cv2.dilate(part(picture, FEATURES).astype(np.uint8), around)
        whole = np.where(near > 0, 255, 64 * part(picture, FACE)).astype(np.uint8)
        row[:] = cv2.resize(whole, (size, size), interpolation=cv2.INTER_AREA)
    return maps


def _check(clip: PortraitClip) -> None:
    lengths = {
        "frames": len(clip.frames),
        "audio": len(clip.audio),
        "expression": len(clip.expression),
    }
    if clip.asked is not None:
        lengths["emotion"] = len(clip.asked)
    if clip.moving is not None:
        lengths["moving parts"] = len(clip.moving)
    if len(set(lengths.values())) > 1 or not len(clip.frames):
        raise PortraitDataError(
            f"portrait: clip {clip.clip_id}: lengths {lengths}; read all features of all frames"
        )
    if clip.frames.shape[1] != clip.frames.shape[2]:
        raise PortraitDataError(
            f"portrait: clip {clip.clip_id}: frames of {clip.frames.shape[1:3]}; must be square"
        )
    finite = np.asarray(np.isfinite(clip.audio).all(axis=1))
    if not finite.all():
        raise PortraitDataError(
            f"portrait: clip {clip.clip_id}: the sound is not finite at frame "
            f"{int(np.argmin(finite))} of {len(finite)}; compute the feature or leave the clip out"
        )
    if not np.isfinite(clip.expression).all(axis=1).any():
        raise PortraitDataError(
            f"portrait: clip {clip.clip_id}: no frame of {len(finite)} has coefficients; leave "
            "the clip out"
        )


def _asked_width(clip: PortraitClip) -> int:
    return 0 if clip.asked is None else int(clip.asked.shape[1])
