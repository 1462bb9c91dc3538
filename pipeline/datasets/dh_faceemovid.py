"""DH-FaceEmoVid-150: acted emotions in Chinese speech (of MoEE, CVPR 2025; in DH-OmniFace).

    001_happy_038.mp4, 018_fear_51.mp4: subject, emotion, number; some numbers are not padded

The corpus is handed out by its keepers on request and no copy was at hand: these names are those of
a public script that reads it. It has six emotions and four compounds; how compounds are spelt is
not known, so a compound of two known words is left unlabelled and anything else is not claimed.
Its transcripts, action units and splits are not published with the names.
"""

import re
from pathlib import Path

from pipeline.datasets.emotions import spelled_out
from pipeline.datasets.label import Label

NAME = "dh_faceemovid"
_NAME = re.compile(r"(?P<who>\d{3})_(?P<emotion>[A-Za-z]+(?:[-_+][A-Za-z]+)?)_(?P<n>\d{1,4})$")
_EMOTIONS = ("happy", "sad", "angry", "fear", "disgusted", "surprised")
"""The six; neutral takes, if there are any, are left to `plain`."""


def describe(path: Path, root: Path) -> Label | None:
    """Labels from a DH-FaceEmoVid name, or None."""
    match = _NAME.match(path.stem)
    if match is None:
        return None
    tags = [spelled_out(word) for word in re.split(r"[-_+]", match["emotion"])]
    if any(tag not in _EMOTIONS for tag in tags):
        return None
    return Label(
        identity=f"dh_{match['who']}",
        emotion=tags[0] if len(tags) == 1 else None,
        view="front",
        sentence=f"{match['emotion'].lower()}-{int(match['n']):03d}",
    )
