"""Which clip is meant: its id, the beginning of it, or the name of its source file."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from flows.errors import NothingToDo
from store import Snapshot

NAMED = 5
"""Candidates that a refusal names."""


def source_name(uri: str) -> str:
    """File name at the end of a path or address.

    >>> source_name("s3://bucket/raw/M030_happy_1.mp4")
    'M030_happy_1.mp4'
    """
    return Path(urlsplit(uri).path or uri).name


def find_clip(snapshot: Snapshot, dataset: str, text: str) -> str:
    """The one clip whose id is `text` or begins with it, or whose source is so named.

    Reads ids and sources, no other column; an id given in full reads only its own row.

    Raises:
        NothingToDo: no dataset of that name, no clip, or several; the nearest names are given.
    """
    if not snapshot.has_dataset(dataset):
        known = ", ".join(map(repr, snapshot.datasets())) or "none"
        raise NothingToDo(f"{snapshot.location} has no dataset {dataset!r}; datasets: {known}")
    table = snapshot.table(dataset)
    if text and text in table.row_of:
        return text
    ids = list(table.row_of)
    names = {
        clip: source_name(str(table.columns["uri"][row])) for clip, row in table.row_of.items()
    }
    wanted = Path(text).name
    found = [clip for clip, name in names.items() if wanted and wanted in (name, Path(name).stem)]
    found = found or [clip for clip in ids if text and clip.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NothingToDo(
            f"{text!r} may be any of {len(found)} clips of {dataset!r}: {_some(found)}; "
            "give more of the id"
        )
    near = difflib.get_close_matches(text, [*ids, *names.values()], n=NAMED, cutoff=0.5)
    hint = f"nearest: {_some(near)}" if near else f"there are {len(ids)}, e.g. {_some(ids)}"
    raise NothingToDo(f"no clip {text!r} in {dataset!r}; {hint if ids else 'it holds no clip'}")


def _some(names: Iterable[str]) -> str:
    listed = list(dict.fromkeys(names))
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more
