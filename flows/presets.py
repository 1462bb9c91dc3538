"""Sizes and lengths of training: `paper` as published, `demo` for minutes on two cores."""

from typing import Any, Literal, TypeVar

from flows.errors import FlowError
from models.config import DEMO

Config = TypeVar("Config")
Preset = Literal["demo", "paper"]

NETWORK: dict[str, dict[str, Any]] = {"paper": {}, "demo": DEMO}
"""TrainConfig fields that differ from the paper's."""

HEAD: dict[str, dict[str, Any]] = {
    "paper": {"steps": 200_000},
    "demo": {"seconds": 150.0},
}
"""HeadConfig fields that differ from their defaults."""


def network_settings(preset: Preset) -> dict[str, Any]:
    """TrainConfig fields of a preset."""
    return dict(NETWORK[preset])


def head_settings(preset: Preset) -> dict[str, Any]:
    """HeadConfig fields of a preset."""
    return dict(HEAD[preset])


def configured(
    kind: type[Config], preset: dict[str, Any], changes: dict[str, Any], what: str
) -> Config:
    """A config from a preset and what the user changes in it.

    Asked for steps, a head is not ended by the preset's seconds.

    Raises:
        FlowError: a setting that the config does not have, or a value of the wrong kind.
    """
    lists = {name: tuple(value) for name, value in changes.items() if isinstance(value, list)}
    settings = preset | changes | lists  # JSON knows no tuples
    if "steps" in changes and "seconds" not in changes:
        settings.pop("seconds", None)
    try:
        return kind(**settings)
    except TypeError as error:
        known = ", ".join(getattr(kind, "__dataclass_fields__", {}))
        raise FlowError(f"{what} settings {changes}: {error}; there are {known}") from error
