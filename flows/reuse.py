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


def start(folder: Path, key: dict[str, Any]) -> None:
    """Make the folder ready: a run of the same key goes on, what another key left is removed."""
    if folder.is_dir() and not _equal(folder / _STARTED, key):
        ours = (folder / _STARTED).is_file() or (folder / _FINISHED).is_file()
        # Nothing but a draft: a kill came between making and marking it.
        if not ours and any(path.suffix != ".draft" for path in folder.iterdir()):
            raise FlowError(
                f"{folder} is there and was not written by emohead; give an empty or another folder"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _mark(folder / _STARTED, key)


def finish(folder: Path, key: dict[str, Any]) -> None:
    """Mark the folder as finished from ``key``."""
    _mark(folder / _FINISHED, key)


def _mark(path: Path, key: dict[str, Any]) -> None:
    """Whole or not at all."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(json.dumps(key, indent=1))
    draft.replace(path)
