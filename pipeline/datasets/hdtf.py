"""HDTF: speeches cut from the web (Zhang et al., CVPR 2021; github.com/MRzzm/HDTF).

    WDA_KatieHill_000.mp4, WRA_AdamKinzinger0_000.mp4, RD_Radio10_000.mp4
    HDTF/AmyKlobuchar1_2.mp4        as its own lists name the clips, below a folder of that name

The part of the corpus, who speaks (a digit behind a name counts that person's videos; radio guests
are numbered and stay apart), and the clip's number. No emotion, no transcript.
"""

import re
from pathlib import Path

from pipeline.datasets.label import Label

NAME = "hdtf"
_NAME = re.compile(r"(?P<part>WDA|WRA|RD)_(?P<who>[A-Za-z][\w-]*?)_(?P<n>\d{1,3})$")
_LISTED = re.compile(r"(?P<who>[A-Za-z][\w-]*?)_(?P<n>\d{1,3})$")
_FOLDERS = {"hdtf", "hdtf_dataset", "wda", "wra", "rd"}


def describe(path: Path, root: Path) -> Label | None:
    """Labels from an HDTF name, or None."""
    match = _NAME.match(path.stem)
    below = {part.lower() for part in path.parent.parts} & _FOLDERS
    if match is None and below:
        match = _LISTED.match(path.stem)
    if match is None:
        return None
    radio = match.groupdict().get("part") == "RD" or match["who"].startswith("Radio")
    who = match["who"] if radio else match["who"].rstrip("0123456789")
    return Label(identity=who, view="front", sentence=path.stem)
