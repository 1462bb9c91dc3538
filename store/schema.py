"""The form of the store: features, clip columns, paths, and the version of all that."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from store.errors import SchemaError

SCHEMA_VERSION = 2
"""Version of the form described here, raised with every change of it. 2: the encoders of each
feature and the clips of each fit are recorded."""

MIN_READER = 2
"""Oldest schema version whose programs read a store of today's form rightly (version 1 refuses
whatever is newer)."""

MIN_WRITER = 2
"""Oldest schema version whose programs keep up all that today's form holds."""

OLDEST_READABLE = 1
"""Oldest schema version that this program reads."""

BLOCK_FRAMES = 128
"""Frames in a block: the shard of every feature, and the unit in which clips own the axis."""

IMAGE_FORMAT: Literal["jpeg", "jpegxl"] = "jpeg"
IMAGE_QUALITY = 98
"""Codec of new picture arrays: every frame at 46 dB or more (docs/decisions/0009)."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")


def check_name(name: str, what: str, *, nested: bool) -> str:
    """The name, if it can be a path in the store; raises SchemaError otherwise."""
    if _NAME.fullmatch(name) is None or (not nested and "/" in name):
        form = "letters, digits, _ . - and /" if nested else "letters, digits, _ . -"
        raise SchemaError(f"{what} {name!r} cannot be a path in the store: use {form}")
    return name


@dataclass(frozen=True)
class FeatureSchema:
    """One named array on the frame axis of a dataset."""

    name: str
    """Path of the feature, `audio/logmel`."""
    shape: tuple[int, ...]
    """Shape of one frame."""
    dtype: str
    """numpy name of the element type."""
    fill: float | int
    """What an unwritten element reads as; NaN for every float feature."""
    kind: Literal["frames", "token_index"] = "frames"
    """`token_index`: each frame holds the index of a row of the clip's own token table."""
    codec: Literal["array", "image", "labels"] = "array"
    """`image`: one lossy or lossless picture a frame; `labels`: one exact map a frame."""
    token_dim: int | None = None
    """Width of a token vector (float32); only with kind `token_index`."""
    image_format: Literal["jpeg", "jpegxl"] | None = None
    """How codec `image` writes a picture: JPEG 4:4:4, or JPEG XL lossless. None: as the store has
    it, and in a new array IMAGE_FORMAT."""
    image_quality: int | None = None
    """JPEG quality, 1..100. None: as the store has it, and in a new array IMAGE_QUALITY."""

    def __post_init__(self) -> None:
        """Refuse forms that could not be stored or would be misread."""
        check_name(self.name, "feature", nested=True)
        dtype = np.dtype(self.dtype)
        if dtype.kind not in "fiub":
            raise SchemaError(f"feature {self.name}: dtype {self.dtype} is not a number type")
        if dtype.kind == "f" and not np.isnan(self.fill):
            raise SchemaError(
                f"feature {self.name}: float features fill with NaN, not {self.fill}, "
                "so that an absent value never reads as a number"
            )
        if self.codec == "image" and not (
            dtype == np.uint8 and len(self.shape) == 3 and self.shape[2] == 3
        ):
            raise SchemaError(
                f"feature {self.name}: codec image stores uint8 (height, width, 3), "
                f"not {self.dtype} {self.shape}"
            )
        if (self.kind == "token_index") != (self.token_dim is not None):
            raise SchemaError(
                f"feature {self.name}: kind {self.kind} and token_dim {self.token_dim} "
                "do not go together; a token index, and only it, has a token_dim"
            )

    def to_json(self) -> dict[str, Any]:
        """The schema as attributes of its array (NaN spelled out: JSON has none)."""
        plain = asdict(self)
        plain["shape"] = list(self.shape)
        plain["fill"] = "NaN" if np.isnan(self.fill) else self.fill
        if self.codec != "image":
            del plain["image_format"], plain["image_quality"]
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "FeatureSchema":
        """Read back `to_json`; keys of a later version are ignored."""
        known = {k: v for k, v in plain.items() if k in cls.__dataclass_fields__}
        known["shape"] = tuple(known["shape"])
        known["fill"] = float("nan") if known["fill"] == "NaN" else known["fill"]
        return cls(**known)

    def form(self) -> str:
        """Type, shape and codec in words."""
        tokens = "" if self.token_dim is None else f", tokens of {self.token_dim}"
        codec = self.codec
        if codec == "image":
            settled = self.settled()
            codec = f"{settled.image_format} quality {settled.image_quality}"
        return f"{self.dtype} {self.shape} fill {self.fill} ({codec}{tokens})"

    def same_form(self, other: "FeatureSchema") -> bool:
        """True if both describe the same stored array; an image setting that one of them leaves
        open is no difference."""
        mine, theirs = self.to_json(), other.to_json()
        for name in ("image_format", "image_quality"):
            if mine.get(name) is None or theirs.get(name) is None:
                mine[name] = theirs[name] = None
        return mine == theirs

    def settled(self) -> "FeatureSchema":
        """With the image settings of a new array in the place of those left open."""
        if self.codec != "image":
            return self
        return replace(
            self,
            image_format=self.image_format or IMAGE_FORMAT,
            image_quality=self.image_quality or IMAGE_QUALITY,
        )


@dataclass(frozen=True)
class Column:
    """One column of the clip table: a 1-D array over clips."""

    dtype: str
    fill: str | int
    rows_per_chunk: int = 1024


CLIP_COLUMNS: dict[str, Column] = {
    "clip_id": Column("str", ""),
    "content": Column("str", ""),
    "identity": Column("str", ""),
    "emotion": Column("str", ""),
    "intensity": Column("int16", -1),
    "view": Column("str", ""),
    "sentence": Column("str", ""),
    "split": Column("str", ""),
    "transcript": Column("str", "", 256),
    "uri": Column("str", ""),
    "sha256": Column("str", ""),
    "size": Column("int64", -1),
    "mtime_ns": Column("int64", -1),
    "first_frame": Column("int64", -1),
    "frames": Column("int64", 0),
    "rejection": Column("str", ""),
    "facts": Column("str", "", 256),
}
"""The clip table. "" and -1 mean "not known"; a row whose clip_id is "" is free."""

CELL_COLUMN = Column("str", "")
TOKEN_COUNT_COLUMN = Column("int32", -1)


@dataclass(frozen=True)
class ClipRow:
    """What a writer says of one clip before computing it."""

    clip_id: str
    content: str
    """Hash of the bytes and the time range."""
    frames: int
    """Frames to reserve: the clip may turn out shorter, never longer. 0: nothing to store but
    rejections. Not looked at for a clip that keeps its extent."""
    cells: Mapping[str, str] = field(default_factory=dict)
    """Planned features with their fingerprints (`Plan.cells_of(clip_id)`)."""
    identity: str = ""
    emotion: str = ""
    intensity: int | None = None
    view: str = ""
    sentence: str = ""
    split: str = ""
    transcript: str = ""
    """JSON."""
    uri: str = ""
    sha256: str = ""
    size: int = -1
    """Bytes of the source file."""
    mtime_ns: int = -1
    """Modification time of the source file."""

    def columns(self) -> dict[str, str | int]:
        """The values this row puts into the clip table, by column."""
        given = CLIP_COLUMNS.keys() & self.__dataclass_fields__.keys() - {"frames", "intensity"}
        values: dict[str, str | int] = {name: getattr(self, name) for name in given}
        values["intensity"] = -1 if self.intensity is None else self.intensity
        return values


def frames_path(feature: str) -> str:
    """Array of a feature inside its dataset group."""
    return f"frames/{feature}"


def tokens_path(feature: str) -> str:
    """Token table of a token-index feature inside its dataset group."""
    return f"tokens/{feature}"


def column_path(column: str) -> str:
    """Array of a clip column inside its dataset group."""
    return f"clips/{column}"


def cells_path(feature: str) -> str:
    """Fingerprints of a feature, one per clip, inside its dataset group."""
    return f"cells/{feature}"


def rejections_path(feature: str) -> str:
    """Rejection reasons of a feature, one per clip, inside its dataset group."""
    return f"rejections/{feature}"


def token_counts_path(feature: str) -> str:
    """Rows of the token table that each clip uses, inside its dataset group."""
    return f"token_counts/{feature}"


def check_features(features: Mapping[str, FeatureSchema]) -> None:
    """Names equal keys, and no feature is a folder of another; raises SchemaError."""
    for key, schema in features.items():
        if key != schema.name:
            raise SchemaError(f"feature {key!r} is declared with a schema named {schema.name!r}")
    for name in features:
        for other in features:
            if other.startswith(name + "/"):
                raise SchemaError(f"feature {name!r} is also the folder of {other!r}: rename one")
