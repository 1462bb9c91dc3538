"""What is to be computed, and why. Pure: a function of stored state, sources and encoders."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from store.errors import PlanError
from store.fingerprints import Fingerprinter
from store.read import Snapshot
from store.row_facts import RowChange
from store.table import ClipTable, empty_table

Reason = Literal[
    "new clip",
    "changed content",
    "absent",
    "changed encoder",
    "changed upstream",
    "rejected before",
    "forced",
]
REASONS: tuple[Reason, ...] = (
    "new clip",
    "changed content",
    "absent",
    "changed encoder",
    "changed upstream",
    "rejected before",
    "forced",
)


_CASES = [
    REASONS.index("new clip"),
    REASONS.index("forced"),
    REASONS.index("changed content"),
    REASONS.index("absent"),
    REASONS.index("rejected before"),
]


class SourceKey(NamedTuple):
    """A clip that the sources have."""

    clip_id: str
    content: str
    """Hash of the bytes and the time range."""


@dataclass(frozen=True)
class EncoderKey:
    """An encoder as the plan sees it."""

    feature: str
    identity: Mapping[str, Any]
    """JSON-able: name, version, config, weights."""
    upstream: tuple[str, ...] = ()
    """Features it reads."""


class PlannedCell(NamedTuple):
    """A cell to compute."""

    clip_id: str
    feature: str
    reason: Reason
    fingerprint: str
    """What the cell will carry."""


@dataclass(frozen=True)
class Plan:
    """The cells to compute, each with its reason, clip by clip in the order of the sources."""

    dataset: str
    cells: list[PlannedCell]
    removed: tuple[str, ...] = ()
    """Clips of the store that the sources no longer have."""
    clips: int = 0
    """Clips in the sources."""
    valid: int = 0
    """Wanted cells that are already there."""
    rejected: int = 0
    """Wanted cells that stand rejected, and are left so: nothing they depend on changed."""
    features: tuple[str, ...] = field(default=())
    """Wanted features, upstream first."""
    rows: tuple[RowChange, ...] = ()
    """Facts of the clip table to bring up to date (`store.row_changes`)."""

    @cached_property
    def by_clip(self) -> dict[str, dict[str, str]]:
        """Clip -> planned feature -> fingerprint."""
        clips: dict[str, dict[str, str]] = {}
        for cell in self.cells:
            clips.setdefault(cell.clip_id, {})[cell.feature] = cell.fingerprint
        return clips

    def cells_of(self, clip_id: str) -> dict[str, str]:
        """Planned features of a clip with their fingerprints; empty if nothing is planned."""
        return self.by_clip.get(clip_id, {})

    @property
    def hash(self) -> str:
        """One string for what will be computed."""
        digest = hashlib.sha256()
        for cell in self.cells:
            digest.update("\x1f".join(cell).encode() + b"\n")
        for change in self.rows:
            digest.update("\x1f".join(map(str, change)).encode() + b"\n")
        return digest.hexdigest()[:32]

    def counts(self) -> dict[tuple[str, str], int]:
        """Number of planned cells by (feature, reason)."""
        return dict(Counter((cell.feature, cell.reason) for cell in self.cells))

    def summary(self) -> str:
        """The plan in words."""
        head = (
            f"{self.dataset}: {len(self.cells)} cells of {len(self.by_clip)} clips to compute; "
            f"{self.valid} of {self.clips * len(self.features)} wanted cells are there"
        )
        if self.rejected:
            head += f", {self.rejected} stand rejected"
        if self.removed:
            head += f"; {len(self.removed)} clips of the store are gone from the sources"
        counts = self.counts()
        lines = [head]
        alike: dict[str, list[str]] = {}
        for feature in self.features:
            parts = [f"{r} {counts[feature, r]}" for r in REASONS if (feature, r) in counts]
            if parts:
                alike.setdefault(", ".join(parts), []).append(feature)
        for reasons, features in alike.items():
            every = len(features) == len(self.features) > 1
            names = f"each of {len(features)} features" if every else ", ".join(features)
            lines.append(f"  {names}: {reasons}")
        for (column, before, after), n in Counter(change[1:] for change in self.rows).items():
            clips = "1 clip" if n == 1 else f"{n} clips"
            lines.append(f"  {column} of {clips}: {_short(before)} -> {_short(after)}")
        return "\n".join(lines)


def _short(value: str | int) -> str:
    text = "unknown" if value in ("", -1) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def plan(
    snapshot: Snapshot | None,
    dataset: str,
    sources: Sequence[SourceKey],
    wanted: Mapping[str, EncoderKey],
    force: Collection[str | tuple[str, str]] = (),
) -> Plan:
    """Plan the wanted features of the sources against a snapshot (None: an empty store).

    `force`: features, clips or (clip, feature) pairs to compute again whatever their state.
    A cell that stands rejected is left alone until its content or an encoder under it changes,
    or it is forced. Raises PlanError.
    """
    known = snapshot is not None and snapshot.has_dataset(dataset)
    table = snapshot.table(dataset) if snapshot is not None and known else empty_table()
    return plan_table(table, dataset, sources, wanted, force)


def plan_table(
    table: ClipTable,
    dataset: str,
    sources: Sequence[SourceKey],
    wanted: Mapping[str, EncoderKey],
    force: Collection[str | tuple[str, str]] = (),
) -> Plan:
    """`plan` on a table at hand."""
    order = upstream_first(wanted)
    ids = [source[0] for source in sources]
    contents = [source[1] for source in sources]
    given = set(ids)
    if len(given) < len(ids):
        twice = next(clip_id for clip_id, n in Counter(ids).items() if n > 1)
        raise PlanError(f"clip {twice!r} comes twice in the sources: give each clip once")
    rows = np.array([table.row_of.get(clip_id, -1) for clip_id in ids], np.int64)
    new = rows < 0
    changed = ~new & (_at(table.columns["content"], rows) != np.array(contents, object))
    forced = _forced(force, ids, order)

    expected: dict[str, list[str]] = {}
    stored: dict[str, np.ndarray] = {}
    encoded = [content.encode() for content in contents]
    picked: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # clip, feature, reason
    valid = rejected = 0
    for position, feature in enumerate(order):
        maker = Fingerprinter(wanted[feature].identity, wanted[feature].upstream)
        expected[feature] = maker.of_many(encoded, [expected[name] for name in maker.upstream])
        stored[feature] = _at(table.fingerprints.get(feature), rows)
        refused = _at(table.rejections.get(feature), rows) != ""
        differs = stored[feature] != np.array(expected[feature], object)
        valid += int((~differs & ~refused).sum())
        rejected += int((~differs & refused & ~forced[feature]).sum())
        again = differs | forced[feature]
        cases = [new, forced[feature], changed, stored[feature] == "", refused]
        codes = np.select(cases, _CASES, REASONS.index("changed encoder"))
        for i in np.flatnonzero(again & (codes == REASONS.index("changed encoder"))):
            then = [stored[name][i] for name in maker.upstream]
            if maker.of(contents[i], then) == stored[feature][i]:
                codes[i] = REASONS.index("changed upstream")
        clips = np.flatnonzero(again)
        picked.append((clips, np.full(len(clips), position), codes[clips]))
    cells = []
    if picked:
        clips, positions, codes = (np.concatenate(part) for part in zip(*picked, strict=True))
        by_clip = np.lexsort((positions, clips))
        prints = [expected[feature] for feature in order]
        cells = [
            PlannedCell(ids[i], order[p], REASONS[code], prints[p][i])
            for i, p, code in zip(
                clips[by_clip].tolist(),
                positions[by_clip].tolist(),
                codes[by_clip].tolist(),
                strict=True,
            )
        ]
    removed = tuple(clip_id for clip_id in table.row_of if clip_id not in given)
    return Plan(dataset, cells, removed, len(ids), valid, rejected, tuple(order))


def upstream_first(wanted: Mapping[str, EncoderKey]) -> list[str]:
    """Wanted features, each after all it reads, else in the order given. Raises PlanError."""
    order: list[str] = []
    open_: list[str] = []

    def visit(feature: str) -> None:
        if feature in order:
            return
        if feature in open_:
            raise PlanError(f"encoders read each other: {' -> '.join([*open_, feature])}")
        open_.append(feature)
        for name in wanted[feature].upstream:
            if name not in wanted:
                raise PlanError(
                    f"{feature} reads {name}, which is not wanted: want {name} too "
                    f"(wanted: {', '.join(wanted)})"
                )
            visit(name)
        open_.pop()
        order.append(feature)

    for feature, key in wanted.items():
        if key.feature != feature:
            raise PlanError(f"feature {feature!r} is wanted with the encoder of {key.feature!r}")
        visit(feature)
    return order


def _at(column: np.ndarray | None, rows: np.ndarray) -> np.ndarray:
    """Text of a column at rows; "" where the row is -1 or there is no column."""
    values = np.full(len(rows), "", object)
    if column is not None:
        there = rows >= 0
        values[there] = column[rows[there]]
    return values


def _forced(
    force: Collection[str | tuple[str, str]], ids: Sequence[str], features: Iterable[str]
) -> dict[str, np.ndarray]:
    masks = {feature: np.zeros(len(ids), bool) for feature in features}
    if not force:
        return masks
    place = {clip_id: i for i, clip_id in enumerate(ids)}
    for item in force:
        if isinstance(item, str) and item in masks:
            masks[item][:] = True
        elif isinstance(item, str) and item in place:
            for mask in masks.values():
                mask[place[item]] = True
        elif isinstance(item, tuple) and item[0] in place and item[1] in masks:
            masks[item[1]][place[item[0]]] = True
        else:
            raise PlanError(
                f"cannot force {item!r}: it is neither a wanted feature "
                f"({', '.join(masks)}), nor a clip of the sources, nor such a pair"
            )
    return masks
