"""What training reads from a snapshot.

Which clips have what, and a key that says when nothing changed.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from store import Snapshot

LABELS = ["identity", "emotion", "sentence", "split"]
"""Columns of the clip table that what is trained may depend on."""


def clips_with(snapshot: Snapshot, dataset: str, features: Sequence[str]) -> list[str]:
    """Clips whose cells of all ``features`` are valid, in the order of the store."""
    cells = snapshot.cells(dataset)
    missing = [name for name in features if name not in cells]
    if missing:
        return []
    return [str(clip_id) for clip_id in cells.index[(cells[list(features)] != "").all(axis=1)]]


def cells_key(
    snapshot: Snapshot, dataset: str, clip_ids: Sequence[str], features: Sequence[str], **more: Any
) -> str:
    """Hash of the fingerprints and labels of these clips, and of ``more`` (settings).

    Equal keys mean equal inputs, whatever else changed in the store.
    """
    cells = snapshot.cells(dataset).loc[list(clip_ids), list(features)]
    labels = snapshot.clips(dataset).loc[list(clip_ids), LABELS]
    return _hash(cells, labels, more)


def identity_keys(
    snapshot: Snapshot, dataset: str, clip_ids: Sequence[str], features: Sequence[str], **more: Any
) -> dict[str, str]:
    """`cells_key` of each identity's clips alone, by identity."""
    cells = snapshot.cells(dataset).loc[list(clip_ids), list(features)]
    labels = snapshot.clips(dataset).loc[list(clip_ids), LABELS]
    return {
        str(identity): _hash(cells.loc[part.index], part, more)
        for identity, part in labels.groupby("identity")
    }


def _hash(cells: pd.DataFrame, labels: pd.DataFrame, more: dict[str, Any]) -> str:
    text = json.dumps(
        [cells.to_csv(), labels.to_csv(), json.dumps(more, sort_keys=True, default=str)]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]
