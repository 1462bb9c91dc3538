"""Sizes and lengths of training: `paper` as published, `demo` for minutes on two cores."""

from typing import Any, Literal

Preset = Literal["demo", "paper"]

NETWORK: dict[str, dict[str, Any]] = {
    "paper": {},
    "demo": {
        "steps": 1200,
        "batch": 8,
        "window": 32,
        "d": 256,
        "d_h": 256,
        "context": 3,
        "final_learning_rate": 0.05,
        "validate_every": 200,
        "save_every": 400,
    },
}
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
