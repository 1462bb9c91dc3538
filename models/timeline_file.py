"""A timeline of emotions in a YAML file, for what is too long for a command line.

::

    # from and to in seconds; intensity 1 is the emotion as it was recorded
    - {emotion: neutral, from: 0, to: 2}
    - {emotion: happy, from: 3, to: 5, intensity: 0.8}
    - {emotion: happy + surprised*0.5, from: 6, to: 8}

Also a mapping with such a list under `timeline`. One segment without times lasts as long as the
sound. The rules are those of `models.emotion`.
"""

import difflib
from pathlib import Path
from typing import Any

import yaml

from models.emotion import Timeline
from models.errors import EmotionError

FIELDS = ("emotion", "from", "to", "intensity")


def read_timeline(path: Path) -> Timeline:
    """The timeline of a file.

    Raises:
        EmotionError: no such file, no YAML, or not a timeline: the place and the cure are named.
    """
    return Timeline.parse(timeline_text(path))


def timeline_text(path: Path) -> str:
    """The same in the grammar of the command line.

    Raises:
        EmotionError: no such file, no YAML, or not a list of segments.
    """
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EmotionError(f"timeline {path}: {error.strerror}; give a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise EmotionError(f"timeline {path}: cannot be read as YAML: {error}") from error
    rows = told.get("timeline") if isinstance(told, dict) else told
    if not isinstance(rows, list) or not rows:
        raise EmotionError(
            f"timeline {path}: holds {type(rows).__name__}, a list of segments is needed, e.g. "
            "- {emotion: happy, from: 0, to: 2, intensity: 0.8}"
        )
    return ", ".join(_segment(row, f"timeline {path.name}, segment {i + 1}", len(rows))
                     for i, row in enumerate(rows))  # fmt: skip


def _segment(row: Any, where: str, count: int) -> str:
    if not isinstance(row, dict):
        raise EmotionError(
            f"{where}: {row!r}, a mapping is needed: {{emotion: happy, from: 0, to: 2}}"
        )
    for name in row:
        if name not in FIELDS:
            near = difflib.get_close_matches(str(name), FIELDS, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise EmotionError(f"{where}: {name!r} is not known; {hint}known: {', '.join(FIELDS)}")
    emotion = row.get("emotion")
    if not isinstance(emotion, str) or any(mark in emotion for mark in "@:,"):
        raise EmotionError(
            f"{where}: emotion is {emotion!r}, a tag is needed, or a sum: happy + surprised*0.5"
        )
    numbers = {name: _number(row[name], name, where) for name in FIELDS[1:] if name in row}
    if "to" in numbers and "from" not in numbers:
        raise EmotionError(f"{where}: to = {numbers['to']} without from; write both, or neither")
    text = emotion
    if "from" in numbers:
        text += f"@{numbers['from']}"
    elif count > 1:
        raise EmotionError(
            f"{where} of {count} has no time; a segment without one lasts as long as the sound and "
            "stands alone: write from and to"
        )
    if "to" in numbers:
        text += f"-{numbers['to']}"
    return text + (f":{numbers['intensity']}" if "intensity" in numbers else "")


def _number(value: Any, name: str, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        raise EmotionError(f"{where}: {name} = {value!r}, a number of at least 0 is needed")
    return f"{value:f}".rstrip("0").rstrip(".")
