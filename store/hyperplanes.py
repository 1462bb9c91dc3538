"""Fitted hyperplanes as the store sees them: named arrays and attributes under a scope."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import zarr

from store.errors import WriteError
from store.schema import check_name

ATTRIBUTES = "attrs"
"""Key under which `read_planes` gives the attributes."""


def planes_path(feature: str, scope: str) -> str:
    """Group of one fit inside its dataset group."""
    check_name(feature, "feature", nested=True)
    check_name(scope, "scope", nested=False)
    return f"hyperplanes/{feature}/{scope}"


def write_planes(
    group: zarr.Group,
    feature: str,
    scope: str,
    arrays: Mapping[str, np.ndarray],
    attributes: Mapping[str, Any],
) -> None:
    """Put a fit in the place of the one of the same feature and scope."""
    path = planes_path(feature, scope)
    if path in group:
        del group[path]
    group.require_group(path.rsplit("/", 1)[0])
    target = group.create_group(path, attributes=dict(attributes))
    for name, values in arrays.items():
        check_name(name, "hyperplane array", nested=False)
        if name == ATTRIBUTES:
            raise WriteError(f"hyperplane array {name!r}: the name is taken by the attributes")
        if values.dtype.kind not in "fiub":
            raise WriteError(f"hyperplane array {name} is {values.dtype}: store text as attributes")
        target.create_array(name, data=np.asarray(values, order="C"))


def read_planes(group: zarr.Group, feature: str, scope: str) -> dict[str, Any] | None:
    """Arrays by name, and the attributes under "attrs"; None if there is no such fit."""
    found = group.get(planes_path(feature, scope))
    if not isinstance(found, zarr.Group):
        return None
    planes: dict[str, Any] = {name: np.asarray(array[...]) for name, array in found.arrays()}
    planes[ATTRIBUTES] = dict(found.attrs)
    return planes


def plane_scopes(group: zarr.Group, feature: str) -> list[str]:
    """Scopes that have a fit of a feature, sorted."""
    found = group.get(f"hyperplanes/{feature}")
    return sorted(name for name, _ in found.groups()) if isinstance(found, zarr.Group) else []
