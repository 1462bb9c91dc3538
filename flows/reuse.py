"""Whether a folder already holds what is about to be made: from these very cells, these settings.

What took long to make (a network, a head, a portrait model) is never removed: made anew from other
cells or settings, the old one is kept beside, under its name and the time.
"""

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.errors import FlowError
from flows.progress import remark

_STARTED = "started-from.json"
_FINISHED = "made-from.json"
_KEPT = re.compile(r"\.\d{4}-\d\d-\d\dT\d{6}Z(-\d+)?$")


def _read(path: Path) -> Any:
    """The key, or None."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _equal(path: Path, key: dict[str, Any]) -> bool:
    return _read(path) == json.loads(json.dumps(key))


def is_finished(folder: Path, key: dict[str, Any]) -> bool:
    """True if the folder was finished from ``key``."""
    return _equal(folder / _FINISHED, key)


def is_started(folder: Path, key: dict[str, Any]) -> bool:
    """True if the folder was begun from ``key``."""
    return _equal(folder / _STARTED, key)


def start(folder: Path, key: dict[str, Any], keep: bool = False) -> Path | None:
    """Make the folder ready: a run of the same key goes on, what another key left makes room.

    Args:
        folder: of what is made.
        key: all that it depends on.
        keep: what lies there took long to make: it is moved beside (`network` to
            `network.2026-11-21T181003Z`), and said so with what differs. Otherwise it is removed.

    Returns:
        Where it was moved; None if nothing was.

    Raises:
        FlowError: the folder was not written by emohead, or cannot be moved.
    """
    moved = None
    if folder.is_dir() and not _equal(folder / _STARTED, key):
        then = _read(folder / _STARTED) or _read(folder / _FINISHED)
        # Nothing but marks and drafts: a kill came before anything was made.
        marks = (_STARTED, _FINISHED)
        made = any(p.suffix != ".draft" and p.name not in marks for p in folder.iterdir())
        if made and then is None:
            raise FlowError(
                f"{folder} is there and was not written by emohead; give an empty or another folder"
            )
        if made and keep:
            moved = _move_beside(folder)
            other = "; ".join(differences(then, json.loads(json.dumps(key))))
            remark(f"{folder} was made from something else ({other}); it is now {moved}")
        else:
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _mark(folder / _STARTED, key)
    return moved


def current(folder: Path) -> list[Path]:
    """Folders in a folder, by name, without those that `start` moved beside their successors."""
    return sorted(p for p in folder.glob("*") if p.is_dir() and not _KEPT.search(p.name))


def _move_beside(folder: Path) -> Path:
    """In one step: a kill leaves it under the one name or the other.

    Raises:
        FlowError: it cannot be moved.
    """
    name = f"{folder.name}.{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}"
    number, beside = 2, folder.with_name(name)
    while beside.exists():
        beside, number = folder.with_name(f"{name}-{number}"), number + 1
    try:
        return folder.rename(beside)
    except OSError as error:
        raise FlowError(
            f"{folder} holds what was made from something else, and cannot be moved to {beside} "
            f"({error.strerror}); give another folder"
        ) from error


def differences(then: dict[str, Any], now: dict[str, Any], where: str = "") -> list[str]:
    """What differs between two keys, a line each.

    >>> differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}})
    ['b.c: 2 then, 3 now']
    >>> differences({"cells": "0f" * 32}, {"cells": "1f" * 32})
    ['other cells']
    """
    found = []
    for name in [*then, *(n for n in now if n not in then)]:
        a, b = then.get(name), now.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{where}{name}.")
        elif _hash(a) and _hash(b) and a != b:
            found.append(f"other {where}{name}")
        elif a != b:
            found.append(f"{where}{name}: {a} then, {b} now")
    return found


def _hash(value: Any) -> bool:
    """Whether people learn nothing from seeing it."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{16,}", value) is not None


def finish(folder: Path, key: dict[str, Any]) -> None:
    """Mark the folder as finished from ``key``."""
    _mark(folder / _FINISHED, key)


def _mark(path: Path, key: dict[str, Any]) -> None:
    """Whole or not at all."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(json.dumps(key, indent=1), encoding="utf-8")
    draft.replace(path)
