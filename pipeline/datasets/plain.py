"""Any folder of videos: labels from sidecars, from a table, else from names as far as they go.

`clips.csv` (or `clips.parquet`) in the scanned folder may say it all: a column `file` (path inside
the folder) and any of identity, emotion, intensity, view, sentence, split, transcript, start, end
(seconds; several rows of one file are several clips).

Without either: an emotion spelled out in the name is the emotion (`001_happy_038.mp4`, as
DH-FaceEmoVid names its clips); numbers and words like clip or take at the end are dropped; what
remains is the identity, and if nothing remains it is the folder's name.
"""

import csv
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipeline.datasets.emotions import spelled_out
from pipeline.datasets.label import Label
from pipeline.datasets.sidecar import label_from
from pipeline.errors import InputError

NAME = "plain"
TABLE = "clips.csv"
PARQUET = "clips.parquet"
_COLUMNS = (
    *("file", "identity", "emotion", "intensity", "view", "sentence", "split"),
    *("transcript", "start", "end"),
)
_KINDS = frozenset(
    (
        *(
            "clip",
            "take",
            "video",
            "vid",
            "movie",
            "mov",
            "part",
            "scene",
            "shot",
            "seg",
            "segment",
        ),
        *("img", "dsc", "rec", "recording", "cut", "crop", "cropped", "raw", "final", "output"),
        *("train", "test", "sample", "front"),
    )
)
_NUMBERED = re.compile(r"^([a-z]+?)?\d+[a-z]?$", re.IGNORECASE)


def describe(path: Path, root: Path) -> Label:
    """As much as a free name tells; never None: any video is welcome."""
    tokens = [token for token in re.split(r"[\s_\-.#]+", path.stem) if token]
    emotions = {spelled_out(token) for token in tokens} - {None}
    emotion = emotions.pop() if len(emotions) == 1 and len(tokens) > 1 else None
    kept = [token for token in tokens if not (emotion and spelled_out(token))]
    subject = tokens[0] if emotion and tokens[0].isdigit() else None  # 001_happy_038: person 001
    while kept and _says_nothing(kept[-1]):
        kept.pop()
    folder = path.parent.name if path.parent != root else ""
    return Label(
        identity=subject or "_".join(kept) or folder or path.stem,
        emotion=emotion,
    )


def read_table(root: Path) -> dict[Path, list[Label]]:
    """Clips by file as `clips.csv` tells; empty when there is no table.

    Raises:
        InputError: unknown or missing columns, or a value that cannot be; row and cure are named.
    """
    table, rows = _rows(root)
    if not rows:
        return {}
    columns = list(rows[0])
    unknown = [c for c in columns if c not in _COLUMNS]
    if unknown or "file" not in columns:
        raise InputError(
            f"{table}: columns {columns}; `file` is needed and only {', '.join(_COLUMNS)} are read"
        )
    told: dict[Path, list[Label]] = {}
    for number, row in enumerate(rows, start=2):
        source = f"{table.name} row {number}"
        path = root / (row["file"] or "")
        values: dict[str, Any] = {k: v for k, v in row.items() if v not in (None, "")}
        label = label_from(values, source, describe(path, root))
        start, end = (_seconds(values.get(k), f"{source}, {k}") for k in ("start", "end"))
        if start is not None and end is not None and end <= start:
            raise InputError(f"{source}: from {float(start)} s to {float(end)} s is no stretch")
        told.setdefault(path, []).append(
            Label(**{**label.__dict__, "start": start, "end": end})  # the table also cuts
        )
    return told


def _rows(root: Path) -> tuple[Path, list[dict[str, str | None]]]:
    """The table and its rows as text; CSV or Parquet, not both."""
    table, parquet = root / TABLE, root / PARQUET
    if not parquet.is_file():
        if not table.is_file():
            return table, []
        with table.open(newline="", encoding="utf-8-sig") as file:
            return table, list(csv.DictReader(file))
    if table.is_file():
        raise InputError(f"{root} has both {TABLE} and {PARQUET}; keep one")
    import pyarrow.parquet as pq  # only where somebody brings such a table

    try:
        held = pq.read_table(parquet).to_pylist()
    except (OSError, ValueError) as error:
        raise InputError(f"{parquet} cannot be read: {error}") from error
    return parquet, [{str(k): _as_text(v) for k, v in row.items()} for row in held]


def _as_text(value: object) -> str | None:
    if value is None or value != value:  # NaN: pandas writes it for an empty cell
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _says_nothing(token: str) -> bool:
    if token.lower() in _KINDS:
        return True
    match = _NUMBERED.match(token)
    return match is not None and (match[1] is None or match[1].lower() in _KINDS)


def _seconds(text: str | None, where: str) -> Fraction | None:
    if text is None:
        return None
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"{where}: {text!r} is no time in seconds") from error
    if value < 0:
        raise InputError(f"{where}: {text} s lies before the file's first frame")
    return value
