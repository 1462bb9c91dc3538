"""CREMA-D: 91 actors, 12 sentences, 6 emotions (Cao et al., IEEE TAC 2014).

    1001_DFA_ANG_XX.flv: actor, sentence, emotion, level

LO, MD and HI exist for one sentence only (IEO); everything else is XX. Files its keepers call bad
are refused by name.
"""

import re
from pathlib import Path

from pipeline.datasets.emotions import canonical
from pipeline.datasets.label import Label
from pipeline.transcript import Transcript

NAME = "crema_d"
_NAME = re.compile(r"(1\d{3})_([A-Z]{3})_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX|X)$")
SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
_LEVELS = {"LO": 1, "MD": 2, "HI": 3}
VOTES = {"A": "angry", "D": "disgusted", "F": "fear", "H": "happy", "N": "neutral", "S": "sad"}
"""Letters of the crowd's votes in `processedResults/summaryTable.csv`."""
BAD = {
    "1076_MTI_NEU_XX": "very short, no audio",
    "1076_MTI_SAD_XX": "error picture, no audio, very short",
    "1064_TIE_SAD_XX": "the file has no duration",
    "1064_IEO_DIS_MD": "a one-minute file with all emotions of its sentence",
}


def describe(path: Path, root: Path) -> Label | None:
    """Labels from a CREMA-D name, or None."""
    match = _NAME.match(path.stem)
    if match is None or match[2] not in SENTENCES:
        return None
    actor, sentence, emotion, level = match.groups()
    known = BAD.get(path.stem)
    return Label(
        identity=f"crema_{actor}",
        emotion=canonical(emotion),
        intensity=_LEVELS.get(level),
        view="front",
        sentence=sentence,
        transcript=Transcript(SENTENCES[sentence], source="known"),
        bad=None if known is None else f"known bad file of CREMA-D: {known}",
    )
