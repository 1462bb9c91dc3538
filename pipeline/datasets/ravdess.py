"""RAVDESS: 24 actors, 8 emotions, 2 statements (Livingstone and Russo 2018, zenodo 1188976).

Seven two-digit numbers: modality, channel, emotion, intensity, statement, repetition, actor. There
is no strong neutral; `calm` has no twin in other corpora.
"""

import re
from pathlib import Path

from pipeline.datasets.label import Label
from pipeline.transcript import Transcript

NAME = "ravdess"
_NAME = re.compile(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)(?:_.*)?$")
_EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgusted", "surprised")
_STATEMENTS = ("Kids are talking by the door", "Dogs are sitting by the door")
_MODALITIES = {"03": "audio only"}


def describe(path: Path, root: Path) -> Label | None:
    """Labels from a RAVDESS name, or None."""
    match = _NAME.match(path.stem)
    if match is None or not 1 <= int(match[7]) <= 24:
        return None
    modality, channel, emotion, intensity, statement, repetition, actor = match.groups()
    text = _STATEMENTS[int(statement) - 1]
    tag = _EMOTIONS[int(emotion) - 1]
    bad = None
    if modality in _MODALITIES:
        bad = f"RAVDESS modality {modality}: {_MODALITIES[modality]}"
    elif tag == "neutral" and intensity == "02":
        bad = "RAVDESS has no strong neutral: the name is wrong"
    return Label(
        identity=f"ravdess_{actor}",
        emotion=tag,
        intensity=int(intensity),
        view="front",
        sentence=f"{'song' if channel == '02' else 'speech'}-{statement}-{repetition}",
        transcript=Transcript(text, source="known"),
        bad=bad,
    )
