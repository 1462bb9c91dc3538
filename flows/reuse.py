"""Whether a folder already holds what is about to be made.

From these very cells, with these settings.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from flows.errors import FlowError

_STARTED = "started-from.json"
_FINISHED = "made-from.json"


def _equal(path: Path, key: dict[str, Any]) -> bool:
    return path.is_file() and json.loads(path.read_text()) == json.loads(json.dumps(key))


def is_finished(folder: Path, key: dict[str, Any]) -> bool:
    """True if the folder was finished from ``key``."""
    return _equal(folder / _FINISHED, key)


def is_started(folder: Path, key: dict[str, Any]) -> bool:
    """True if the folder was begun from ``key``."""
    return _equal(folder / _STARTED, key)


def start(folder: Path, key: dict[str, Any], keep: bool = False) -> None:
    """Make the folder ready: a run of the same key goes on, what another key left is removed.

    Args:
        folder: of what is made.
        key: all that it depends on.
        keep: what another key left took hours to make, and is refused instead of removed.

    Raises:
        FlowError: the folder was not written by emohead; or is to be kept, and says what differs.
    """
    if folder.is_dir() and not _equal(folder / _STARTED, key):
        ours = (folder / _STARTED).is_file() or (folder / _FINISHED).is_file()
        # Nothing but a draft: a kill came between making and marking it.
        if not ours and any(path.suffix != ".draft" for path in folder.iterdir()):
            raise FlowError(
                f"{folder} is there and was not written by emohead; give an empty or another folder"
            )
        if keep and ours:
            then = json.loads((folder / _STARTED).read_text("utf-8"))
            other = "; ".join(differences(then, json.loads(json.dumps(key)))) or "an older version"
            raise FlowError(
                f"{folder} holds what was made from something else ({other}); give another folder, "
                "or move it away: it is not removed for you"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _mark(folder / _STARTED, key)


def differences(then: dict[str, Any], now: dict[str, Any], where: str = "") -> list[str]:
    """What differs between two keys, a line each.

    >>> differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}})
    ['b.c: 2 then, 3 now']
    """
    found = []
    for name in [*then, *(n for n in now if n not in then)]:
        a, b = then.get(name), now.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{where}{name}.")
        elif a != b:
            found.append(f"{where}{name}: {a} then, {b} now")
    return found


def finish(folder: Path, key: dict[str, Any]) -> None:
    """Mark the folder as finished from ``key``."""
    _mark(folder / _FINISHED, key)


def _mark(path: Path, key: dict[str, Any]) -> None:
    """Whole or not at all."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(json.dumps(key, indent=1))
    draft.replace(path)
