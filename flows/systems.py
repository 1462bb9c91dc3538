"""The systems that share cache, clock, emotions and heads; what tells them apart is their network.

`emohead` is told the emotion by hyperplanes, `moee` and `emodiffhead` by labels
(docs/decisions/0021). EMOdiffhead's one-shot video model is trained by `emohead train portrait`.
"""

from pathlib import Path
from typing import Any, Literal, get_args

from models.config import MOEE, RECURRENT

System = Literal["emohead", "moee", "emodiffhead"]

NETWORK: dict[System, dict[str, Any]] = {"emohead": {}, "moee": MOEE, "emodiffhead": RECURRENT}
"""TrainConfig fields that make the audio-expression network that of a system."""

SYSTEMS: tuple[System, ...] = get_args(System)


def network_folder(out: Path, system: System) -> Path:
    """Folder of a system's network beside the others': OUT/network, OUT/network-moee, …"""
    return out / ("network" if system == "emohead" else f"network-{system}")
