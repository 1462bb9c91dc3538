"""Names that forms and commands know: systems and presets.

Nothing is imported here, so that `emohead --help` answers at once.
"""

from typing import Literal, get_args

System = Literal["emohead", "moee", "emodiffhead"]
PortraitSystem = Literal["emodiffhead", "moee"]
SYSTEMS: tuple[System, ...] = get_args(System)

Preset = Literal["demo", "paper"]
HeadPreset = Literal["demo", "quick", "paper", "gpu"]
