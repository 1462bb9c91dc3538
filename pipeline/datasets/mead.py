"""MEAD: 8 emotions, 3 levels, 7 views (Wang et al., ECCV 2020; github.com/uniBruce/Mead).

    M030/video/front/angry/level_3/001.mp4     the official tree
    M030_front_angry_level3_001.mp4            the same, flattened
    M003#angry#level_1#001.mp4                 EDTalk's flattening
    M003_ang_3_001.mp4                         EAT's flattening

Sentence numbers do not name the same sentence across emotions (issue 12 there), so no transcript is
known. Audio files are counted apart from the videos and do not match them: sound is taken from the
video only. The official test part is the last 10 neutral and the last 6 other sentences.
"""

import re
from pathlib import Path

from pipeline.datasets.emotions import canonical
from pipeline.datasets.label import Label

NAME = "mead"
VIEWS = ("front", "left_30", "left_60", "right_30", "right_60", "top", "down")

_PERSON = r"(?P<who>[MW]0\d\d)"
_VIEW = "|".join(VIEWS)
_TREE = re.compile(
    rf"{_PERSON}/(?:video/)?(?P<view>{_VIEW})/(?P<emotion>[a-z]+)/level_?(?P<level>\d)/(?P<n>\d+)$"
)
_FLAT = re.compile(
    rf"{_PERSON}[_#](?:(?P<view>{_VIEW})[_#])?(?P<emotion>[a-z]+)[_#](?:level_?)?(?P<level>\d)"
    r"[_#](?P<n>\d+)(?:_\d+p)?$"
)
_SENTENCES = {"neutral": (40, 10)}
"""(sentences, how many of the last are test) where it is not `_OTHERS`."""
_OTHERS = (30, 6)


def describe(path: Path, root: Path) -> Label | None:
    """Labels from a MEAD name, or None."""
    where = path.with_suffix("").as_posix()
    match = _TREE.search(where) or _FLAT.match(path.stem)
    tag = canonical(match["emotion"]) if match else None
    if match is None or tag is None or tag == "calm":
        return None
    number = int(match["n"])
    count, held = _SENTENCES.get(tag, _OTHERS)
    return Label(
        identity=match["who"],
        emotion=tag,
        intensity=int(match["level"]),
        view=match["view"] or "front",
        sentence=f"{tag}-{number:03d}",
        split="test" if number > count - held else "train",
    )
