"""What the store knows of one clip, beside its arrays: who, what is said, what was measured."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from flows.errors import NothingToDo
from flows.fit_hyperplanes import read_planes
from flows.inspection.find import source_name
from models.data import merged_planes
from pipeline.hyperplanes import HyperplaneSet
from pipeline.quality_rules import FLAGS, QualityConfig, judge
from store import Snapshot


@dataclass(frozen=True)
class ClipFacts:
    """One row of the clip table in words."""

    clip_id: str
    name: str
    """File name of the source."""
    identity: str
    emotion: str
    """"" where none is known."""
    intensity: int
    split: str
    sentence: str
    frames: int
    """0 if the clip was refused."""
    facts: Mapping[str, Any]
    """What preprocessing measured."""
    rejected: Mapping[str, str]
    """Feature to reason."""
    flags: Mapping[str, str]
    """Flag to reason, by today's limits."""
    words: tuple[tuple[str, float, float], ...]
    """(word, start, end), seconds."""


def clip_facts(snapshot: Snapshot, dataset: str, clip_id: str) -> ClipFacts:
    """Read one row; no array, no other clip's row.

    Raises:
        UnknownError: there is no such clip.
    """
    table = snapshot.table(dataset)
    row = table.values(table.row(clip_id))
    facts = json.loads(row["facts"] or "{}")
    return ClipFacts(
        clip_id=clip_id,
        name=source_name(str(row["uri"])),
        identity=str(row["identity"]),
        emotion=str(row["emotion"]),
        intensity=int(row["intensity"]),
        split=str(row["split"]),
        sentence=str(row["sentence"]),
        frames=int(row["frames"]),
        facts=facts,
        rejected=snapshot.rejected(dataset, clip_id),
        flags=judge(facts, QualityConfig()),
        words=words_of(facts),
    )


def words_of(facts: Mapping[str, Any]) -> tuple[tuple[str, float, float], ...]:
    """Timed words that an encoder recorded; empty where there are none."""
    for remarks in facts.get("encoders", {}).values():
        words = (remarks.get("transcript") or {}).get("words")
        if words:
            return tuple((str(word), float(start), float(end)) for word, start, end in words)
    return ()


def planes_of(
    snapshot: Snapshot, dataset: str, identity: str, expression: str
) -> HyperplaneSet | None:
    """All planes that can steer an identity, in its whitened units; None without its statistics."""
    try:
        sets = read_planes(snapshot, dataset, expression)
    except NothingToDo:
        return None
    return merged_planes(sets, identity) if identity in sets else None


def margins_of(
    planes: HyperplaneSet, raw: Float[np.ndarray, "frames k"]
) -> tuple[tuple[str, ...], Float[np.ndarray, "frames tags"]]:
    """Signed distance of every frame from every plane, whitened units."""
    tags = tuple(sorted(planes.planes))
    return tags, np.stack([planes.margins(tag, raw) for tag in tags], axis=1)


def head_angles(cameras: Float[np.ndarray, "frames 3 4"]) -> Float[np.ndarray, "frames 3"]:
    """Yaw, pitch and roll in degrees by the quality rules' convention; NaN without a pose.

    Yaw grows when the head turns to the picture's right, pitch when it looks down, roll when it
    tilts clockwise in the picture.
    """
    rotation = cameras[:, :, :3].astype(np.float64)
    ahead, across = -rotation[:, :, 2], rotation[:, :, 0]
    return np.degrees(
        np.stack(
            [
                np.arctan2(ahead[:, 0], -ahead[:, 2]),
                np.arcsin(np.clip(ahead[:, 1], -1, 1)),
                np.arctan2(across[:, 1], across[:, 0]),
            ],
            axis=1,
        )
    )


def summary(clip: ClipFacts) -> str:
    """A page of Markdown about the clip."""
    quality = clip.facts.get("quality", {})
    level = f" {clip.intensity}" if clip.intensity >= 0 else ""
    lines = [
        f"# {clip.name}",
        f"`{clip.clip_id}`",
        "",
        f"**{clip.identity}**, {clip.emotion or 'no emotion known'}{level}, "
        f"{clip.frames} frames = {clip.frames / 25:.2f} s, split {clip.split or 'none'}",
        "",
    ]
    if clip.words:
        lines += ["> " + " ".join(word for word, _, _ in clip.words), ""]
    lines += ["## Flags", ""]
    lines += [f"- **{FLAGS[flag]}**: {why}" for flag, why in clip.flags.items()] or ["none"]
    if clip.rejected:
        lines += ["", "## Rejected", ""]
        lines += [f"- `{feature}`: {why}" for feature, why in clip.rejected.items()]
    if quality:
        lines += ["", "## Measured", "", "| | |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in quality.items()]
    return "\n".join(lines)
