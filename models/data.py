"""What the audio-expression network learns from: features of many clips on one long frame axis."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float32, Float64, Int

from models.config import InputWidths
from models.errors import TrainingDataError
from pipeline.hyperplanes import POOLED, Hyperplane, HyperplaneSet
from pipeline.whitening import Whitening

Split = Literal["train", "held_out_clip", "held_out_sentence", "held_out_identity"]
"""Part a clip plays: learnt from, or held out as a clip (its sentence is known from others), as a
sentence, or as a person."""

HELD_OUT: tuple[Split, ...] = ("held_out_sentence", "held_out_clip", "held_out_identity")
"""Held-out parts; the first that has clips decides which checkpoint is best."""


@dataclass(frozen=True)
class SpeechFeatures:
    """Inputs of the network for one clip of V frames."""

    audio: Float[np.ndarray, "frames audio_width"]
    emotion: Float[np.ndarray, "frames emotion_width"]
    tokens: Float[np.ndarray, "tokens text_width"]
    token_index: Int[np.ndarray, " frames"]
    """Row of `tokens` spoken at each frame; -1 where nobody speaks."""

    @property
    def frames(self) -> int:
        """V."""
        return len(self.audio)


@dataclass(frozen=True)
class ClipRow:
    """One clip and its place on the long axis."""

    clip_id: str
    identity: str
    emotion: str
    """Canonical tag; "" where none is known."""
    sentence: str | None
    split: Split
    first: int
    frames: int


@dataclass(frozen=True)
class LabelledClip:
    """One clip before it is laid on the long axis."""

    clip_id: str
    identity: str
    emotion: str
    features: SpeechFeatures
    expression: Float[np.ndarray, "frames k"]
    """Raw coefficients; NaN where no face was found."""
    sentence: str | None = None
    split: Split = "train"
    mouth: Float[np.ndarray, " frames"] | None = None
    """Mouth aspect ratio; None: not known."""


@dataclass(frozen=True)
class TrainingData:
    """Arrays of all clips, hyperplanes of all identities, and where everything came from."""

    features: SpeechFeatures
    """All clips end to end; token indices count over the joint token table."""
    expression: Float[np.ndarray, "frames k"]
    """Raw coefficients, NaN where no face was found."""
    clips: tuple[ClipRow, ...]
    planes: Mapping[str, HyperplaneSet]
    """Hyperplanes (and whitening) per identity, and `pooled`."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able: snapshot, fingerprints, features; kept in the checkpoint."""
    mouth: Float[np.ndarray, " frames"] | None = None
    """Mouth aspect ratio, NaN where no face was found; None: not known."""

    def __post_init__(self) -> None:
        """Hold everything against everything; see `TrainingDataError` for what can be found."""
        if not self.clips:
            raise TrainingDataError("no clips to learn from; add clips with sound and a face")
        self._check_lengths()
        for clip in self.clips:
            self._check_clip(clip)

    @property
    def widths(self) -> InputWidths:
        """Channels of the three inputs."""
        f = self.features
        return InputWidths(f.audio.shape[1], f.emotion.shape[1], f.tokens.shape[1])

    @property
    def k(self) -> int:
        """Number of coefficients."""
        return self.expression.shape[1]

    def part(self, split: Split) -> tuple[ClipRow, ...]:
        """Clips of one split."""
        return tuple(clip for clip in self.clips if clip.split == split)

    def clip_features(self, clip: ClipRow) -> SpeechFeatures:
        """Inputs of one clip (views)."""
        rows = slice(clip.first, clip.first + clip.frames)
        f = self.features
        return SpeechFeatures(f.audio[rows], f.emotion[rows], f.tokens, f.token_index[rows])

    def whitened(self, clip: ClipRow) -> Float[np.ndarray, "frames k"]:
        """Target coefficients of one clip in its identity's whitened units."""
        rows = slice(clip.first, clip.first + clip.frames)
        return whitening_of(self.planes, clip.identity).whiten(self.expression[rows])

    def _check_lengths(self) -> None:
        f = self.features
        end = sum(clip.frames for clip in self.clips)
        lengths = {
            "clips": end,
            "audio": len(f.audio),
            "emotion": len(f.emotion),
            "token_index": len(f.token_index),
            "expression": len(self.expression),
        }
        if self.mouth is not None:
            lengths["mouth"] = len(self.mouth)
        if len(set(lengths.values())) > 1:
            raise TrainingDataError(f"frame counts differ: {lengths}; read all features of a clip")
        if np.any(f.token_index >= len(f.tokens)) or np.any(f.token_index < -1):
            low, high = int(f.token_index.min()), int(f.token_index.max())
            raise TrainingDataError(
                f"token indices run from {low} to {high}, the table has {len(f.tokens)} tokens "
                "(-1 is silence); read index and table of the same cell"
            )
        if not np.isfinite(f.tokens).all():
            raise TrainingDataError("the token table holds values that are not finite")

    def _check_clip(self, clip: ClipRow) -> None:
        rows = slice(clip.first, clip.first + clip.frames)
        for name in ("audio", "emotion"):
            finite = np.isfinite(getattr(self.features, name)[rows]).all(axis=1)
            if not finite.all():
                raise TrainingDataError(
                    f"clip {clip.clip_id}: {name} is not finite at frame {int(np.argmin(finite))} "
                    f"of {clip.frames} (absent or rejected cell); compute the feature or leave "
                    "the clip out"
                )
        if not np.isfinite(self.expression[rows]).all(axis=1).any():
            raise TrainingDataError(
                f"clip {clip.clip_id}: none of {clip.frames} frames has expression coefficients; "
                "leave the clip out"
            )
        whitening = whitening_of(self.planes, clip.identity)
        if whitening.k != self.k:
            raise TrainingDataError(
                f"identity {clip.identity}: whitening of {whitening.k} coefficients, the clips "
                f"have {self.k}; fit hyperplanes on the same expression feature"
            )
        normal_of(self.planes, clip.identity, clip.emotion)


def join_clips(
    clips: Sequence[LabelledClip],
    planes: Mapping[str, HyperplaneSet],
    provenance: Mapping[str, Any] | None = None,
) -> TrainingData:
    """Lay clips end to end.

    Raises:
        TrainingDataError: no clips, or anything `TrainingData` finds.
    """
    if not clips:
        raise TrainingDataError("no clips to learn from; add clips with sound and a face")
    rows, first, token_first = [], 0, 0
    index = []
    for clip in clips:
        f = clip.features
        rows.append(
            ClipRow(clip.clip_id, clip.identity, clip.emotion, clip.sentence, clip.split,
                    first, f.frames)
        )  # fmt: skip
        index.append(np.where(f.token_index < 0, f.token_index, f.token_index + token_first))
        first += f.frames
        token_first += len(f.tokens)
    features = SpeechFeatures(
        np.concatenate([clip.features.audio for clip in clips]),
        np.concatenate([clip.features.emotion for clip in clips]),
        np.concatenate([clip.features.tokens for clip in clips]),
        np.concatenate(index),
    )
    expression = np.concatenate([clip.expression for clip in clips])
    mouths = [clip.mouth for clip in clips if clip.mouth is not None]
    mouth = np.concatenate(mouths) if len(mouths) == len(clips) else None
    return TrainingData(features, expression, tuple(rows), planes, provenance or {}, mouth)


def read_steps(
    steps: Float[np.ndarray, "frames two width"], how: str = "pair_mean"
) -> Float[np.ndarray, "frames width2"]:
    """50 Hz steps on the frame axis: `pair_mean` (the design's default) or `concat` (both)."""
    if how == "pair_mean":
        return steps.mean(axis=1)
    if how == "concat":
        return np.ascontiguousarray(steps.reshape(len(steps), -1))
    raise TrainingDataError(f"steps can be read as 'pair_mean' or 'concat', not {how!r}")


def whitening_of(planes: Mapping[str, HyperplaneSet], identity: str) -> Whitening:
    """Stored statistics of an identity.

    Raises:
        TrainingDataError: there are none.
    """
    if identity not in planes:
        raise TrainingDataError(
            f"identity {identity!r} has no stored whitening (known: {', '.join(sorted(planes))}); "
            "fit hyperplanes on its clips first"
        )
    return planes[identity].whitening


def plane_of(
    planes: Mapping[str, HyperplaneSet], identity: str, tag: str, prefer: str = "identity"
) -> Hyperplane:
    """Hyperplane of a tag for an identity: its own, else the pooled one (or the other way round).

    Both live in the identity's whitened units, so one may stand in for the other.

    Raises:
        TrainingDataError: neither exists; says why.
    """
    scopes = (identity, POOLED) if prefer == "identity" else (POOLED, identity)
    reasons = []
    for scope in scopes:
        if scope not in planes:
            reasons.append(f"{scope}: no hyperplanes")
        elif tag in planes[scope].planes:
            return planes[scope].planes[tag]
        else:
            reasons.append(f"{scope}: {planes[scope].rejected.get(tag, 'no clip carries the tag')}")
    raise TrainingDataError(
        f"no hyperplane for {tag!r} of identity {identity!r} ({'; '.join(reasons)})"
    )


def normal_of(
    planes: Mapping[str, HyperplaneSet], identity: str, tag: str, prefer: str = "identity"
) -> Float32[np.ndarray, " k"]:
    """w_z of a tag for an identity; zeros for a clip whose emotion nobody knows (tag "").

    Eq. 9 then leaves α̃ as it is: such clips teach speech, not refinement.
    """
    if not tag:
        return np.zeros(whitening_of(planes, identity).k, dtype=np.float32)
    return plane_of(planes, identity, tag, prefer).w.astype(np.float32)


def merged_planes(
    planes: Mapping[str, HyperplaneSet], identity: str, prefer: str = "identity"
) -> HyperplaneSet:
    """All hyperplanes that can steer an identity, by `plane_of`'s rule, in its whitened units."""
    whitening_of(planes, identity)  # names the identities that are known
    own = planes[identity]
    pooled = planes[POOLED].planes if POOLED in planes else {}
    joint = {**pooled, **own.planes} if prefer == "identity" else {**own.planes, **pooled}
    rejected = {tag: why for tag, why in own.rejected.items() if tag not in joint}
    return replace(own, planes=joint, rejected=rejected)


def standard_statistics(
    values: Float[np.ndarray, "rows width"],
) -> tuple[Float64[np.ndarray, " width"], Float64[np.ndarray, " width"]]:
    """Mean and deviation per channel; a channel that never moves gets deviation 1."""
    if len(values) == 0:
        return np.zeros(values.shape[1]), np.ones(values.shape[1])
    mean = values.mean(axis=0, dtype=np.float64)
    std = values.std(axis=0, dtype=np.float64)
    return mean, np.where(std > 1e-6 * np.maximum(np.abs(mean), 1.0), std, 1.0)


def lone_tags(clips: Sequence[ClipRow]) -> dict[str, str]:
    """Tags that one identity alone has among these clips: eq. 13 loses its second term there."""
    pairs = {(clip.emotion, clip.identity) for clip in clips if clip.emotion}
    count = Counter(emotion for emotion, _ in pairs)
    return {emotion: identity for emotion, identity in sorted(pairs) if count[emotion] == 1}
