"""`<stem>.json` beside a media file: labels, words and phonemes someone wrote down for it.

    {"identity": "iris", "emotion": "happy", "intensity": 3, "sentence": "s1", "split": "train",
     "words": [{"word": "we", "start": 0.10, "end": 0.22}, ...],
     "phonemes": [{"phoneme": "w", "start": 0.10, "end": 0.16}, ...]}

All keys are optional; others (such as "truth") are left to whoever wrote them. Where it tells no
words, `<stem>.TextGrid`, `<stem>.vtt` or `<stem>.srt` may (`word_files`).

Of what was said, the corpus knows best: a sidecar that spells the known sentence brings its times,
one that spells another is not used. Of everything else the sidecar has the last word.
"""

import json
import re
from pathlib import Path
from typing import Any

from pipeline.datasets.emotions import CANONICAL, canonical
from pipeline.datasets.label import Label
from pipeline.datasets.word_files import read_word_file
from pipeline.errors import InputError
from pipeline.transcript import Transcript, Word

_LABELS = ("identity", "emotion", "intensity", "view", "sentence", "split")
_KNOWN = {*_LABELS, "words", "phonemes", "transcript", "text"}


def read_sidecar(media: Path) -> dict[str, Any] | None:
    """What stands beside a file; None when there is no sidecar or it is about something else.

    Raises:
        InputError: a sidecar that is not what its name says, or whose known keys cannot be read.
    """
    told = _json(media) or {}
    if not told.get("words") and not told.get("transcript") and not told.get("text"):
        heard = read_word_file(media)
        if heard is not None:
            told = told | {"heard": heard}
    return told or None


def _json(media: Path) -> dict[str, Any] | None:
    path = media.with_suffix(".json")
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"sidecar {path.name} cannot be read: {error}") from error
    if not isinstance(told, dict) or not _KNOWN.intersection(told):
        return None
    return told


def label_from(told: dict[str, Any], source: str, fallback: Label) -> Label:
    """A label from told values; what is not told comes from `fallback`.

    Raises:
        InputError: a value that cannot be (unknown emotion, a level that is no number).
    """
    emotion = fallback.emotion
    if told.get("emotion"):
        emotion = canonical(str(told["emotion"]))
        if emotion is None:
            raise InputError(
                f"{source}: emotion {told['emotion']!r} is unknown; use {', '.join(CANONICAL)}"
            )
    intensity = told.get("intensity")
    if intensity in ("", None):
        intensity = fallback.intensity
    elif not str(intensity).isdigit():
        raise InputError(f"{source}: intensity {intensity!r} is no level (1, 2, 3 ...)")
    split = told.get("split") or fallback.split
    return Label(
        identity=str(told.get("identity") or fallback.identity),
        emotion=emotion,
        intensity=None if intensity is None else int(intensity),
        view=_text(told.get("view")) or fallback.view,
        sentence=_text(told.get("sentence")) or fallback.sentence,
        split=_text(split),
        transcript=known_first(fallback.transcript, _transcript(told, source)),
        bad=fallback.bad,
    )


def known_first(known: Transcript | None, sidecar: Transcript | None) -> Transcript | None:
    """The corpus's sentence, with a sidecar's times where that spells the same."""
    if known is None or sidecar is None or known.words:
        return known or sidecar
    if _letters(known.text) != _letters(sidecar.text):
        return known
    return Transcript(known.text, sidecar.words, sidecar.phonemes, source="known")


def _letters(text: str) -> str:
    return "".join(re.findall(r"[^\W_]", text.lower()))


def _text(value: Any) -> str | None:
    return None if value in (None, "") else str(value)


def _transcript(told: dict[str, Any], source: str) -> Transcript | None:
    heard = told.get("heard")
    if isinstance(heard, Transcript):
        return heard
    words = _timed(told.get("words"), "word", source)
    text = told.get("transcript") or told.get("text")
    if not isinstance(text, str) or not text.strip():
        text = " ".join(word.text for word in words)
    if not text:
        return None
    phonemes = _timed(told.get("phonemes"), "phoneme", source)
    return Transcript(text.strip(), words, phonemes, source="sidecar")


def _timed(items: Any, key: str, source: str) -> tuple[Word, ...]:
    if items is None:
        return ()
    try:
        return tuple(
            Word(str(item[key]), float(item["start"]), float(item["end"])) for item in items
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f'{source}: {key}s must be a list of {{"{key}", "start", "end"}} ({error})'
        ) from error
