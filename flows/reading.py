"""What training reads from a snapshot.

Which clips have what, and a key that says when nothing changed.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from store import Snapshot


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
    labels = snapshot.clips(dataset).loc[
        list(clip_ids), ["identity", "emotion", "sentence", "split"]
    ]
    text = json.dumps(
        [cells.to_csv(), labels.to_csv(), json.dumps(more, sort_keys=True, default=str)]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]
