"""How a dataset lies in zarr: which arrays there are, and how each is cut and compressed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.core.sync import sync

from store.errors import SchemaError, UnknownError
from store.extents import Extent, blocks_of
from store.image_codec import ImageCodec
from store.schema import (
    BLOCK_FRAMES,
    IMAGE_FORMAT,
    IMAGE_QUALITY,
    FeatureSchema,
    check_features,
    check_name,
    frames_path,
    tokens_path,
)

INNER_CHUNK_BYTES = 32 * 1024
"""Aim for the piece that a reader decodes at once: a training window of 32 frames of a wide
feature is two to five pieces, and few bytes more than it holds."""

STORED_PLAIN = "f"
"""Kinds of numbers that are stored as they are where a frame is wide: such floats hardly shrink
(8 % measured) and take longer to unpack than to read."""


def dataset_names(root: zarr.Group) -> list[str]:
    """Names of the datasets in a store, sorted."""
    return sorted(name for name, _ in root.groups())


def open_dataset(root: zarr.Group, dataset: str) -> zarr.Group:
    """Group of a dataset; raises UnknownError naming those that there are."""
    found = root.get(dataset)
    if not isinstance(found, zarr.Group):
        there = ", ".join(dataset_names(root)) or "none yet"
        raise UnknownError(f"the store has no dataset {dataset!r}; datasets here: {there}")
    return found


def require_dataset(root: zarr.Group, dataset: str) -> zarr.Group:
    """Group of a dataset, made if absent."""
    check_name(dataset, "dataset", nested=False)
    found = root.get(dataset)
    if isinstance(found, zarr.Group):
        return found
    attributes = {"block_frames": BLOCK_FRAMES, "frames_allocated": 0}
    return root.create_group(dataset, attributes=attributes)


def block_frames(group: zarr.Group) -> int:
    """Frames in a block of this dataset."""
    return int(group.attrs["block_frames"])  # pyright: ignore[reportArgumentType]


def frames_allocated(group: zarr.Group) -> int:
    """First frame of the axis that belongs to nobody."""
    return int(group.attrs["frames_allocated"])  # pyright: ignore[reportArgumentType]


def inner_frames(frame_bytes: int, block: int) -> int:
    """Frames in an inner chunk: the power of two nearest below the aim, within 1..block."""
    frames = 1
    while frames * 2 <= block and frames * 2 * frame_bytes <= INNER_CHUNK_BYTES:
        frames *= 2
    return frames


def feature_array(group: zarr.Group, feature: str) -> zarr.Array:
    """Array of a feature; raises UnknownError naming those that there are."""
    return _array(group, frames_path(feature), feature)


def token_array(group: zarr.Group, feature: str) -> zarr.Array:
    """Token table of a token-index feature: row `first_frame + k` is token k of the clip."""
    return _array(group, tokens_path(feature), feature)


def _array(group: zarr.Group, path: str, feature: str) -> zarr.Array:
    found = group.get(path)
    if not isinstance(found, zarr.Array):
        there = ", ".join(stored_features(group)) or "none yet"
        raise UnknownError(f"{group.path} has no array {path} for {feature!r}; it has: {there}")
    return found


def stored_features(group: zarr.Group) -> dict[str, FeatureSchema]:
    """Schemas of the features that a dataset has, by name."""
    frames = group.get("frames")
    if not isinstance(frames, zarr.Group):
        return {}
    schemas = {}
    for _, node in frames.members(max_depth=None):
        if isinstance(node, zarr.Array):
            plain = node.attrs["feature"]
            schema = FeatureSchema.from_json(plain)  # pyright: ignore[reportArgumentType]
            schemas[schema.name] = schema
    return dict(sorted(schemas.items()))


def require_features(
    group: zarr.Group, features: Mapping[str, FeatureSchema], replace: frozenset[str]
) -> list[str]:
    """Make the arrays of features that are not there; returns the features whose array was
    replaced because it is named in `replace` and its form differs. Raises SchemaError where a
    form differs otherwise."""
    there = stored_features(group)
    check_features({**there, **features})
    replaced = []
    for name, schema in features.items():
        if name in there:
            if there[name].same_form(schema):
                continue
            if name not in replace:
                raise SchemaError(
                    f"feature {name} of {group.path} is stored as {there[name].form()}, asked for "
                    f"as {schema.form()}: name it in `replace` to drop the stored one (older "
                    "snapshots keep it), or write into another dataset"
                )
            del group[frames_path(name)]
            if there[name].token_dim is not None:
                del group[tokens_path(name)]
            replaced.append(name)
        create_feature(group, schema)
    return replaced


def create_feature(group: zarr.Group, schema: FeatureSchema) -> None:
    """Make a feature's array, and its token table, as long as the allocated axis."""
    schema = schema.settled()
    dtype = np.dtype(schema.dtype)
    frame_bytes = dtype.itemsize * int(np.prod(schema.shape, dtype=np.int64))
    one_frame = schema.codec in ("image", "labels")
    block = block_frames(group)
    _create(
        group,
        frames_path(schema.name),
        row_shape=schema.shape,
        dtype=dtype,
        fill=schema.fill,
        inner=1 if one_frame else inner_frames(frame_bytes, block),
        row_axis="frame",
        image=ImageCodec(schema.image_format or IMAGE_FORMAT, schema.image_quality or IMAGE_QUALITY)
        if schema.codec == "image"
        else None,
        attributes={"feature": schema.to_json()},
    )
    if schema.token_dim is not None:
        _create(
            group,
            tokens_path(schema.name),
            row_shape=(schema.token_dim,),
            dtype=np.dtype("float32"),
            fill=float("nan"),
            inner=inner_frames(4 * schema.token_dim, block),
            row_axis="token",
            image=None,
            attributes={},
        )


def _create(
    group: zarr.Group,
    path: str,
    *,
    row_shape: tuple[int, ...],
    dtype: np.dtype,
    fill: float | int,
    inner: int,
    row_axis: str,
    image: ImageCodec | None,
    attributes: dict[str, Any],
) -> None:
    block = block_frames(group)
    sharded = inner < block
    plain = sharded and dtype.kind in STORED_PLAIN
    leaf = path.rsplit("/", 1)[1]
    checksum = Crc32cCodec()  # a flipped bit is found in every codec, also where it would decode
    group.require_group(path.rsplit("/", 1)[0])
    group.create_array(
        path,
        shape=(frames_allocated(group), *row_shape),
        dtype=dtype,
        chunks=(inner, *row_shape),
        shards=(block, *row_shape) if sharded else None,
        fill_value=fill,
        serializer="auto" if image is None else image,
        compressors=[checksum] if image is not None or plain else [ZstdCodec(level=1), checksum],
        dimension_names=[row_axis, *(f"{leaf}_{i}" for i in range(len(row_shape)))],
        attributes=attributes,
    )


def grow(group: zarr.Group, frames: int) -> None:
    """Make the axis of a dataset reach `frames`: every feature array and token table."""
    for name, schema in stored_features(group).items():
        arrays = [feature_array(group, name)]
        if schema.token_dim is not None:
            arrays.append(token_array(group, name))
        for array in arrays:
            if array.shape[0] < frames:
                array.resize((frames, *array.shape[1:]))
    group.attrs["frames_allocated"] = frames


def shard_keys(group: zarr.Group, array: zarr.Array, extent: Extent) -> list[str]:
    """Store keys of an array's shards in an extent."""
    zeros = (0,) * (array.ndim - 1)
    encode = array.metadata.encode_chunk_key
    return [f"{array.path}/{encode((i, *zeros))}" for i in blocks_of(extent, block_frames(group))]


def erase(group: zarr.Group, array: zarr.Array, extent: Extent) -> None:
    """Forget what an array holds in an extent: it reads as fill from now on."""
    for key in shard_keys(group, array, extent):
        sync(group.store.delete(key))
