"""What the clip table says of clips, against what the sources say now. Pure.

Labels live beside the content hash, not in it: a corrected emotion changes no pixel. So a plan
looks at them apart from cells, and a write session updates them without computing anything
(`WriteSession.update_rows`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from store.schema import ClipRow
from store.table import ClipTable

LABEL_COLUMNS = ("identity", "emotion", "intensity", "view", "sentence", "split", "transcript")
"""What is said of a clip. Where its file lies (uri, size, mtime_ns) is no label: it is written
along with every other change, and does not make a commit of its own, for two people who share a
store keep their videos in different folders."""


class RowChange(NamedTuple):
    """A fact of the clip table that the sources tell otherwise."""

    clip_id: str
    column: str
    before: str | int
    after: str | int


def row_changes(
    table: ClipTable, rows: Sequence[ClipRow], columns: Sequence[str] = LABEL_COLUMNS
) -> list[RowChange]:
    """Facts that differ, of clips that the table has with the same content, clip by clip."""
    row_of = dict(table.row_of)  # all at once: clip by clip they would be looked up in the index
    places = np.array([row_of.get(row.clip_id, -1) for row in rows], np.int64)
    known = np.flatnonzero(places >= 0)
    if not len(known):
        return []
    content = table.columns["content"][places[known]]
    known = known[content == np.array([rows[int(i)].content for i in known], object)]
    found: list[tuple[int, RowChange]] = []
    for name in columns:
        stored = table.columns[name][places[known]]
        given = np.array([_value(rows[int(i)], name) for i in known], object)
        for k in np.flatnonzero(stored != given):
            i = int(known[k])
            before = stored[k].item() if isinstance(stored[k], np.generic) else stored[k]
            found.append((i, RowChange(rows[i].clip_id, name, before, given[k])))
    return [change for _, change in sorted(found, key=lambda pair: pair[0])]


def _value(row: ClipRow, column: str) -> str | int:
    value = getattr(row, column)
    return -1 if value is None else value
