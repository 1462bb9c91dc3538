"""Fitted hyperplanes as the store sees them: named arrays and attributes under a scope, and the
clips and features that the fit was made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from store.errors import WriteError
from store.schema import check_name

ATTRIBUTES = "attrs"
"""Key under which `read_planes` gives the attributes."""

FIT_CLIPS = "fit_clips"
"""Array of the fit's group: ids of the clips it was made from. An array, because attributes travel
with every snapshot and a pooled fit knows all clips."""

FIT_READS = "fit_reads"
"""Attribute of the fit's group: features it was made from."""


@dataclass(frozen=True)
class Planes:
    """A fit to be stored."""

    arrays: Mapping[str, np.ndarray]
    attributes: Mapping[str, Any]
    clips: tuple[str, ...] | None = None
    """Clips it was made from; None: not known, so any changed clip may have been one."""
    reads: tuple[str, ...] = ()
    """Features it was made from."""


def planes_path(feature: str, scope: str) -> str:
    """Group of one fit inside its dataset group."""
    check_name(feature, "feature", nested=True)
    check_name(scope, "scope", nested=False)
    return f"hyperplanes/{feature}/{scope}"


def write_planes(group: zarr.Group, feature: str, scope: str, planes: Planes) -> None:
    """Put a fit in the place of the one of the same feature and scope."""
    path = planes_path(feature, scope)
    if path in group:
        del group[path]
    group.require_group(path.rsplit("/", 1)[0])
    attributes = dict(planes.attributes)
    if planes.clips is not None:
        attributes[FIT_READS] = list(planes.reads)
    target = group.create_group(path, attributes=attributes)
    checked = [ZstdCodec(), Crc32cCodec()]
    for name, values in planes.arrays.items():
        check_name(name, "hyperplane array", nested=False)
        if name in (ATTRIBUTES, FIT_CLIPS):
            raise WriteError(f"hyperplane array {name!r}: the name is taken by the store")
        if values.dtype.kind not in "fiub":
            raise WriteError(f"hyperplane array {name} is {values.dtype}: store text as attributes")
        array = np.asarray(values, order="C")
        target.create_array(name, data=array, compressors=checked)
    if planes.clips is not None:
        ids = target.create_array(
            FIT_CLIPS,
            shape=(len(planes.clips),),
            dtype=str,
            chunks=(max(1, min(len(planes.clips), 4096)),),
            fill_value="",
            compressors=checked,
            dimension_names=["clip"],
        )
        if planes.clips:
            ids[:] = np.array(planes.clips, ids.dtype)


def read_planes(group: zarr.Group, feature: str, scope: str) -> dict[str, Any] | None:
    """Arrays by name, and the attributes under "attrs"; None if there is no such fit."""
    found = group.get(planes_path(feature, scope))
    if not isinstance(found, zarr.Group):
        return None
    planes: dict[str, Any] = {
        name: np.asarray(array[...]) for name, array in found.arrays() if name != FIT_CLIPS
    }
    planes[ATTRIBUTES] = {name: value for name, value in found.attrs.items() if name != FIT_READS}
    return planes


def plane_scopes(group: zarr.Group, feature: str) -> list[str]:
    """Scopes that have a fit of a feature, sorted."""
    found = group.get(f"hyperplanes/{feature}")
    return sorted(name for name, _ in found.groups()) if isinstance(found, zarr.Group) else []


def stored_fits(group: zarr.Group) -> list[tuple[str, str]]:
    """(feature, scope) of every fit of a dataset, sorted."""
    found = group.get("hyperplanes")
    if not isinstance(found, zarr.Group):
        return []
    fits = set()
    for path, node in found.members(max_depth=None):
        if isinstance(node, zarr.Array):
            feature, scope, _ = path.rsplit("/", 2)
            fits.add((feature, scope))
    return sorted(fits)


def fit_origin(
    group: zarr.Group, feature: str, scope: str
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Clips a fit was made from (None: not recorded), and the features."""
    found = group[planes_path(feature, scope)]
    clips = found.get(FIT_CLIPS) if isinstance(found, zarr.Group) else None
    if not isinstance(clips, zarr.Array):
        return None, ()
    reads: Sequence[Any] = found.attrs[FIT_READS]  # pyright: ignore[reportAssignmentType]
    return tuple(str(clip_id) for clip_id in np.asarray(clips[:])), tuple(map(str, reads))
