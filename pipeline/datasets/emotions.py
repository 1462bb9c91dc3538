"""Canonical emotion tags and what corpora call them. Version of the table: see `TABLE_VERSION`."""

TABLE_VERSION = 1

CANONICAL = (
    "neutral",
    "angry",
    "contempt",
    "disgusted",
    "fear",
    "happy",
    "sad",
    "surprised",
    "calm",
)
"""Tags of emohead: MEAD's eight, and RAVDESS's calm, which has no twin."""

_SYNONYMS = {
    "neutral": ("neu", "normal"),
    "angry": ("ang", "anger"),
    "contempt": ("con", "contemptuous"),
    "disgusted": ("dis", "disgust", "disgusting"),
    "fear": ("fea", "fearful", "afraid", "scared"),
    "happy": ("hap", "happiness", "joy", "joyful"),
    "sad": ("sadness", "unhappy"),
    "surprised": ("sur", "surprise"),
    "calm": ("cal",),
}
_TAGS = {name: tag for tag, names in _SYNONYMS.items() for name in (tag, *names)}


def canonical(word: str) -> str | None:
    """The tag a corpus's word stands for, or None: `Disgust`, `DIS` and `disgusted` are one."""
    return _TAGS.get(word.strip().lower())


def spelled_out(word: str) -> str | None:
    """As `canonical`, but only for whole words: three letters in a free name mean nothing."""
    return canonical(word) if len(word) > 3 or word.lower() in ("sad", "joy") else None
