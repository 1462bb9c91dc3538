"""GRID: six-word commands, one file a sentence (Cooke et al., JASA 2006).

    s1/bbaf2n.mpg = bin blue at f 2 now

The speaker is a folder's name (s1 ... s34); the file's name does not say who speaks. Files below no
such folder count as a person each: taken together, 34 people would become one. All is spoken
neutrally.
"""

import re
from pathlib import Path

from pipeline.datasets.label import Label
from pipeline.transcript import Transcript

NAME = "grid"
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SLOTS = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    dict(zip("z123456789", _DIGITS, strict=True)),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
_SPEAKER = re.compile(r"s\d{1,2}$")


def describe(path: Path, root: Path) -> Label | None:
    """Labels from a GRID name, or None."""
    code = path.stem
    if len(code) != len(_SLOTS) or any(
        sign not in slot for sign, slot in zip(code, _SLOTS, strict=True)
    ):
        return None
    words = [slot[sign] for sign, slot in zip(code, _SLOTS, strict=True)]
    folders = [part for part in path.parent.parts if _SPEAKER.match(part)]
    return Label(
        identity=f"{NAME}_{folders[-1] if folders else code}",
        emotion="neutral",
        sentence=code,
        transcript=Transcript(" ".join(words), source="known"),
    )
