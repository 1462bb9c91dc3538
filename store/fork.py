"""A worker's part of a write session: it travels to another process, is written, comes back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import icechunk
import numpy as np
import zarr

from store.errors import WriteError
from store.extents import Extent
from store.layout import erase, feature_array, token_array
from store.location import writing
from store.schema import FeatureSchema


@dataclass(frozen=True)
class Slot:
    """Where a clip is written, and what of it."""

    clip_id: str
    extent: Extent | None
    """None: no frames reserved, so only rejections can be written."""
    exact: bool
    """True if the clip keeps a stored extent: its length must come out the same."""
    cells: Mapping[str, str]
    """Planned features with their fingerprints."""


@dataclass(frozen=True)
class Batch:
    """Clips for one writer. No shard of one batch is touched by another."""

    slots: tuple[Slot, ...]

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """Clips of the batch."""
        return tuple(slot.clip_id for slot in self.slots)


@dataclass(frozen=True)
class ClipWrite:
    """What was computed of one clip."""

    clip_id: str
    frames: int
    """Frames the clip turned out to have; 0 if it is unusable (all rejected)."""
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Feature -> array with first axis `frames`."""
    tokens: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Token-index feature -> token table, float32 [n_tokens, token_dim], n_tokens <= frames."""
    rejected: Mapping[str, str] = field(default_factory=dict)
    """Feature -> reason why it could not be computed."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able: what is worth knowing of the clip."""


@dataclass(frozen=True)
class WrittenClip:
    """The small record of a written clip that goes back to the committer."""

    clip_id: str
    frames: int
    valid: tuple[str, ...]
    rejected: Mapping[str, str]
    token_counts: Mapping[str, int]
    facts: Mapping[str, Any]


class FeatureArrays:
    """Feature arrays and token tables of a writable dataset, each opened once."""

    def __init__(self, group: zarr.Group) -> None:
        """`group`: the dataset."""
        self.group = group
        self._opened: dict[tuple[str, bool], zarr.Array] = {}

    def of(self, feature: str, *, tokens: bool = False) -> zarr.Array:
        """Array of a feature, or its token table."""
        key = (feature, tokens)
        if key not in self._opened:
            find = token_array if tokens else feature_array
            self._opened[key] = find(self.group, feature)
        return self._opened[key]

    def erase(self, feature: str, schema: FeatureSchema, extent: Extent) -> None:
        """Forget what a feature holds in an extent."""
        erase(self.group, self.of(feature), extent)
        if schema.token_dim is not None:
            erase(self.group, self.of(feature, tokens=True), extent)


@dataclass
class Fork:
    """Picklable; write to it with `write_clip`, bring it back with `session.merge`."""

    session: icechunk.ForkSession
    dataset: str
    features: Mapping[str, FeatureSchema]
    slots: Mapping[str, Slot]
    written: dict[str, WrittenClip] = field(default_factory=dict)
    location: str = "the store"
    """For messages."""
    unfinished: str = ""
    """Clip whose writing broke off, so that the fork holds half of it."""
    _arrays: "FeatureArrays | None" = field(default=None, repr=False, compare=False)

    def arrays(self) -> "FeatureArrays":
        """The arrays of the fork, opened once in each process."""
        if self._arrays is None:
            group = zarr.open_group(self.session.store, path=self.dataset, mode="r+")
            self._arrays = FeatureArrays(group)
        return self._arrays

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without what was opened here."""
        return {**self.__dict__, "_arrays": None}


def write_clip(fork: Fork, write: ClipWrite) -> Fork:
    """Write one clip into a fork, and return the fork (a pool sends it back).

    All is checked before anything is written; raises WriteError.
    """
    slot = fork.slots.get(write.clip_id)
    if slot is None:
        raise WriteError(
            f"clip {write.clip_id} is not in this fork ({len(fork.slots)} clips): "
            "write it in the fork of the batch that holds it"
        )
    if write.clip_id in fork.written:
        raise WriteError(f"clip {write.clip_id} is already written in this fork: write it once")
    check_clip(fork.features, slot, write)
    fork.unfinished = write.clip_id
    with writing(fork.location):
        fork.written[write.clip_id] = write_slot(fork.arrays(), fork.features, slot, write)
    fork.unfinished = ""
    return fork


def write_slot(
    arrays: FeatureArrays, features: Mapping[str, FeatureSchema], slot: Slot, write: ClipWrite
) -> WrittenClip:
    """Write the frames and tokens of a clip that `check_clip` let pass."""
    if slot.extent is not None:
        for feature, values in write.arrays.items():
            array = arrays.of(feature)
            if slot.exact:
                # All of it is written anew, and to write part of a shard zarr reads the rest: what
                # is damaged could not be repaired.
                arrays.erase(feature, features[feature], slot.extent)
            array[slot.extent.first : slot.extent.first + write.frames] = values
            if feature in write.tokens:
                tokens = write.tokens[feature]
                table = arrays.of(feature, tokens=True)
                erase(arrays.group, table, slot.extent)
                if len(tokens):
                    table[slot.extent.first : slot.extent.first + len(tokens)] = tokens
        for feature in write.rejected if slot.exact else ():
            # What was valid before must not stay behind a rejection.
            arrays.erase(feature, features[feature], slot.extent)
    return WrittenClip(
        write.clip_id,
        write.frames,
        tuple(write.arrays),
        dict(write.rejected),
        {feature: len(table) for feature, table in write.tokens.items()},
        dict(write.facts),
    )


def check_clip(features: Mapping[str, FeatureSchema], slot: Slot, write: ClipWrite) -> None:
    """Hold what was computed of a clip against its plan, place and schemas; raises WriteError."""
    name = write.clip_id
    unplanned = [f for f in (*write.arrays, *write.rejected) if f not in slot.cells]
    if unplanned:
        raise WriteError(
            f"clip {name}: {', '.join(unplanned)} was not planned (planned: "
            f"{', '.join(slot.cells) or 'nothing'}): name it in ClipRow.cells with its fingerprint"
        )
    try:
        json.dumps(write.facts, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise WriteError(
            f"clip {name}: facts are not JSON ({error}): use str, int, finite float, bool, None, "
            "list and dict, not numpy values"
        ) from error
    both = [feature for feature in write.arrays if feature in write.rejected]
    if both:
        raise WriteError(f"clip {name}: {', '.join(both)} is given and rejected: choose one")
    for feature, reason in write.rejected.items():
        if not reason.strip():
            raise WriteError(f"clip {name}: {feature} is rejected without a reason: give one")
    reserved = slot.extent.frames if slot.extent is not None else 0
    if slot.exact and write.frames not in (0, reserved):
        raise WriteError(
            f"clip {name} has {reserved} frames in the store, its new arrays {write.frames}: "
            "the same content must give the same length; if the file changed, scan again"
        )
    if write.frames > reserved:
        raise WriteError(
            f"clip {name} has {write.frames} frames, {reserved} were reserved: "
            "reserve at least its length in ClipRow.frames"
        )
    if write.frames == 0 and write.arrays:
        raise WriteError(f"clip {name} has 0 frames and arrays {', '.join(write.arrays)}")
    for feature, values in write.arrays.items():
        _check_array(features[feature], name, write.frames, values)
        if features[feature].kind == "token_index":
            if feature not in write.tokens:
                raise WriteError(f"clip {name}: {feature} comes without its token table")
            _check_tokens(features[feature], name, values, write.tokens[feature])
    stray = [feature for feature in write.tokens if feature not in write.arrays]
    if stray:
        raise WriteError(f"clip {name}: token table without its index: {', '.join(stray)}")


def _check_array(schema: FeatureSchema, name: str, frames: int, values: np.ndarray) -> None:
    expected = (frames, *schema.shape)
    if values.shape != expected or values.dtype != np.dtype(schema.dtype):
        raise WriteError(
            f"clip {name}: {schema.name} is {values.dtype} {values.shape}, its schema says "
            f"{schema.dtype} {expected}: the encoder and its FeatureSchema must agree"
        )
    if values.dtype.kind == "f" and bool(np.isnan(values).all()):
        raise WriteError(
            f"clip {name}: {schema.name} is NaN in all {frames} frames, which reads as absent: "
            "reject the feature with a reason instead"
        )


def _check_tokens(schema: FeatureSchema, name: str, index: np.ndarray, tokens: np.ndarray) -> None:
    frames = len(index)
    if (
        tokens.ndim != 2
        or tokens.shape[1] != schema.token_dim
        or tokens.dtype != np.dtype("float32")
        or len(tokens) > frames
    ):
        raise WriteError(
            f"clip {name}: token table of {schema.name} is {tokens.dtype} {tokens.shape}, expected "
            f"float32 (n, {schema.token_dim}) with n <= {frames}, the frames of the clip"
        )
    if frames and (int(index.min()) < -1 or int(index.max()) >= len(tokens)):
        raise WriteError(
            f"clip {name}: {schema.name} points at tokens {int(index.min())}..{int(index.max())}, "
            f"its table has 0..{len(tokens) - 1} (-1 for silence)"
        )


def merge_written(
    into: dict[str, WrittenClip], others: Sequence[Fork], slots: Mapping[str, Slot]
) -> None:
    """Add the records of forks; raises WriteError if a clip was written in two of them."""
    for fork in others:
        if fork.unfinished:
            raise WriteError(
                f"writing clip {fork.unfinished} broke off in this fork, which holds half of it: "
                "write its clips again in a fresh fork, or leave them for the next run"
            )
        for clip_id in fork.written:
            if clip_id not in slots:
                raise WriteError(f"clip {clip_id} was not allocated by this session")
            if clip_id in into:
                raise WriteError(
                    f"clip {clip_id} was written in two forks: give each clip to one batch"
                )
        into.update(fork.written)
