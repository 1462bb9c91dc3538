"""Sizes and lengths of training: `paper` as published, `demo` for minutes on two cores."""

from typing import Any, Literal

from models.config import DEMO

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
