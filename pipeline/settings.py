"""Settings from outside (command line, YAML) into frozen dataclasses, checked by name and type."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pipeline.errors import ProfileError

Config = TypeVar("Config")


def configured(kind: type[Config], given: Mapping[str, Any], where: str) -> Config:
    """An instance of a config dataclass with some fields replaced; nested mappings descend.

    Raises:
        ProfileError: a field that does not exist (the choices are named), or another type.
    """
    hints = get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in hints:
            raise ProfileError(
                f"{where} has no setting {name!r}; it has {', '.join(names) or 'none'}"
            )
        values[name] = _value(hints[name], value, f"{where}.{name}")
    return kind(**values)


def _value(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, Mapping):
            return configured(hint, value, where)
        if isinstance(value, hint):
            return value
    elif hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif get_origin(hint) is tuple and isinstance(value, list | tuple):
        inner = get_args(hint)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_value(inner[0], item, where) for item in value)
        if len(inner) == len(value):
            return tuple(_value(h, item, where) for h, item in zip(inner, value, strict=True))
    elif isinstance(hint, type):
        if type(value) is hint:
            return value
    else:  # unions, literals: the dataclass itself must object
        return value
    shown = getattr(hint, "__name__", str(hint))
    raise ProfileError(f"{where} = {value!r} is a {type(value).__name__}; {shown} is needed")
