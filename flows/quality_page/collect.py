"""What a snapshot knows of its clips, one record each, and what only shows between clips."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from flows.errors import NothingToDo
from flows.fit_hyperplanes import read_planes
from pipeline.quality_rules import QualityConfig, judge
from store import Snapshot

ALIKE_BITS = 10
"""Bits of 64 in which two clips' picture hashes may differ and still be compared further."""
ALIKE_MOUTH = 0.95
"""Correlation of two mouth curves from which two clips count as the same recording."""
LEAST_ON_SIDE = 0.4
"""Share of frames on the label's side of its hyperplane below which the label is doubted."""


@dataclass
class ClipView:
    """One clip as the page shows it."""

    clip_id: str
    name: str
    uri: str
    identity: str
    emotion: str
    intensity: int
    frames: int
    facts: dict[str, Any]
    rejected: dict[str, str]
    """Feature to reason."""
    flags: dict[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether anything of it was kept."""
        return self.frames > 0

    @property
    def anchor(self) -> str:
        """Where it stands on the page."""
        return "clip-" + self.clip_id

    @property
    def link(self) -> str:
        """Address of the source file."""
        return self.uri if urlsplit(self.uri).scheme else Path(self.uri).absolute().as_uri()

    def quality(self, key: str) -> Any:
        """A measured number, or None."""
        return self.facts.get("quality", {}).get(key)


def collect(snapshot: Snapshot, dataset: str, limits: QualityConfig) -> list[ClipView]:
    """All clips of a dataset, judged by today's limits."""
    views = []
    for clip_id, row in snapshot.clips(dataset).iterrows():
        facts = json.loads(row.facts or "{}")
        uri = str(row.uri)
        views.append(
            ClipView(
                clip_id=str(clip_id),
                name=Path(urlsplit(uri).path or str(clip_id)).name,
                uri=uri,
                identity=str(row.identity),
                emotion=str(row.emotion),
                intensity=int(row.intensity),
                frames=int(row.frames),
                facts=facts,
                rejected=json.loads(row.rejected or "{}"),
                flags=judge(facts, limits),
            )
        )
    return views


def mouth_of(snapshot: Snapshot, dataset: str, view: ClipView) -> np.ndarray | None:
    """The clip's mouth curve, if it has one."""
    if snapshot.state(dataset, view.clip_id, "face/mar") != "valid":
        return None
    return snapshot.read(dataset, "face/mar", view.clip_id)


def near_duplicates(
    views: Sequence[ClipView], mouths: dict[str, np.ndarray]
) -> list[tuple[ClipView, ClipView, float]]:
    """Pairs of clips with the same scene and the same movement of the mouth, and its correlation.

    Re-encoded, scaled or re-muxed copies are found; equal bytes were refused by the scan already.
    """
    hashed = [v for v in views if v.quality("picture_hash") and v.clip_id in mouths]
    codes = np.array([int(v.quality("picture_hash"), 16) for v in hashed], np.uint64)
    pairs = []
    for i, code in enumerate(codes[:-1]):
        apart = np.bitwise_count(codes[i + 1 :] ^ code)
        for j in np.flatnonzero(apart <= ALIKE_BITS) + i + 1:
            alike = _same_movement(mouths[hashed[i].clip_id], mouths[hashed[j].clip_id])
            if alike >= ALIKE_MOUTH:
                pairs.append((hashed[i], hashed[j], alike))
    return pairs


def _same_movement(a: np.ndarray, b: np.ndarray, reach: int = 3) -> float:
    """Best correlation of two mouth curves within `reach` frames, over the shorter one."""
    best = 0.0
    for shift in range(-reach, reach + 1):
        x, y = a[max(0, shift) :], b[max(0, -shift) :]
        count = min(len(x), len(y))
        if count < 0.8 * max(len(a), len(b)):
            continue
        both = np.isfinite(x[:count]) & np.isfinite(y[:count])
        if both.sum() > 25 and x[:count][both].std() > 0 and y[:count][both].std() > 0:
            best = max(best, float(np.corrcoef(x[:count][both], y[:count][both])[0, 1]))
    return best


def doubtful_labels(
    snapshot: Snapshot, dataset: str, views: Sequence[ClipView], expression: str
) -> dict[str, str]:
    """Clip to reason, where few frames lie on the label's side of its hyperplane."""
    try:
        planes = read_planes(snapshot, dataset, expression)
    except NothingToDo:
        return {}
    doubts = {}
    for view in views:
        scope = planes.get(view.identity)
        if scope is None or view.emotion not in scope.planes:
            continue
        if snapshot.state(dataset, view.clip_id, expression) != "valid":
            continue
        margins = scope.margins(view.emotion, snapshot.read(dataset, expression, view.clip_id))
        share = float(np.mean(margins[np.isfinite(margins)] > 0))
        if share < LEAST_ON_SIDE:
            doubts[view.clip_id] = f"{share:.0%} of frames look {view.emotion}"
    return doubts
