"""Reasons counted: the same thing said of many clips is one kind of reason."""

import re
from collections import Counter
from collections.abc import Iterable

LONGEST = 90
"""Characters of a kind of reason."""

_NAME = re.compile(r"^[^\s:]+\.\w{2,5}: ")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_QUOTED = re.compile(r"'[^']*'|/\S+|\w+://\S+")


def kind_of(reason: str) -> str:
    """The reason without what differs from clip to clip: its name, numbers, quoted things, paths.

    >>> kind_of("a.mp4: the face is too small: 89 px wide, at least 96 px are needed")
    'the face is too small: # px wide, at least # px are needed'
    """
    line = reason.strip().splitlines()[0] if reason.strip() else "unknown"
    text = _NUMBER.sub("#", _QUOTED.sub("…", _NAME.sub("", line)))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def counted(reasons: Iterable[str]) -> dict[str, int]:
    """Kind -> how often, most frequent first."""
    return dict(Counter(kind_of(reason) for reason in reasons).most_common())
