"""The systems that share cache, clock, emotions and heads; what tells them apart is their network.

`emohead` is told the emotion by hyperplanes, `moee` and `emodiffhead` by labels
(docs/decisions/0021). What draws the frames is a head of one person, or the video diffusion model
that `emohead train portrait` makes: EMOdiffhead's, or MoEE's with experts in it.
"""

from pathlib import Path
from typing import Any

from flows.names import System
from models.config import MOEE, RECURRENT

NETWORK: dict[System, dict[str, Any]] = {"emohead": {}, "moee": MOEE, "emodiffhead": RECURRENT}
"""TrainConfig fields that make the audio-expression network that of a system."""


def network_folder(out: Path, system: System) -> Path:
    """Folder of a system's network beside the others': OUT/network, OUT/network-moee, …"""
    return out / ("network" if system == "emohead" else f"network-{system}")


def portrait_folder(out: Path, system: System) -> Path:
    """Folder of a system's video diffusion model: OUT/portrait, or OUT/portrait-moee."""
    return out / ("portrait-moee" if system == "moee" else "portrait")
