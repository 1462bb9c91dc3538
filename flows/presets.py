"""Sizes and lengths of training: `paper` as published, `demo` for minutes on two cores.

Heads know two more: `quick`, five minutes on two cores with all losses and curves, and `gpu`.
"""

from typing import Any, TypeVar

from flows.errors import FlowError
from flows.names import HeadPreset, Preset
from models.config import DEMO

Config = TypeVar("Config")

NETWORK: dict[str, dict[str, Any]] = {"paper": {}, "demo": DEMO}
"""TrainConfig fields that differ from the paper's."""

HEAD: dict[str, dict[str, Any]] = {
    "demo": {"seconds": 150.0},
    "quick": {
        "seconds": 300.0,
        "refine": {"every": 64, "size": 96},
        "board": True,
        "preview_every": 60.0,
    },
    "paper": {
        "steps": 200_000,
        "schedule": "linear",
        "refine": {},
        "board": True,
        "preview_every": 300.0,
    },
    "gpu": {
        "steps": 200_000,
        "schedule": "linear",
        "refine": {"every": 4, "size": 224},
        "board": True,
        "preview_every": 120.0,
        "engine": "torch",
        "device": "cuda",
        "rays": 16_384,
        "precision": "bfloat16",
        "graphs": True,
        "graph_samples": 24,
        "march_steps": 96,
        "max_samples": 128,
        "field": {
            "grid": {
                "levels": 16,
                "features": 2,
                "log2_entries": 19,
                "base_resolution": 16,
                "growth": 1.32,
            }
        },
    },
}
"""HeadConfig fields that differ from their defaults; the dictionaries inside are configs, too."""


def network_settings(preset: Preset) -> dict[str, Any]:
    """TrainConfig fields of a preset."""
    return dict(NETWORK[preset])


def head_settings(preset: HeadPreset) -> dict[str, Any]:
    """HeadConfig fields of a preset."""
    return dict(HEAD[preset])


def configured(
    kind: type[Config], preset: dict[str, Any], changes: dict[str, Any], what: str
) -> Config:
    """A config from a preset and what the user changes in it.

    Asked for steps, a head is not ended by the preset's seconds. A name with dots goes into a
    config inside: `{"refine.every": 4}` leaves the rest of the preset's `refine` as it is.

    Raises:
        FlowError: a setting that the config does not have, or a value of the wrong kind.
    """
    lists = {name: tuple(value) for name, value in changes.items() if isinstance(value, list)}
    settings = preset
    for name, value in (changes | lists).items():  # JSON knows no tuples
        settings = with_value(settings, name.split("."), value)
    if "steps" in changes and "seconds" not in changes:
        settings.pop("seconds", None)
    make: Any = getattr(kind, "from_settings", None)
    try:
        return make(settings) if make else kind(**settings)
    except TypeError as error:
        known = ", ".join(getattr(kind, "__dataclass_fields__", {}))
        raise FlowError(f"{what} settings {changes}: {error}; there are {known}") from error


def with_value(settings: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """A copy with the value at the path; what lies beside it stays."""
    name, *rest = path
    if not rest:
        return settings | {name: value}
    inside = settings.get(name) or {}
    return settings | {name: with_value(inside if isinstance(inside, dict) else {}, rest, value)}
