"""Why the cells of one feature differ between two states of a dataset.

The fingerprint of a cell is the hash of its encoder, its content and the fingerprints above it. So
the reason is found, not guessed: the recorded encoder is the one that gives this very hash.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from store.fingerprints import Fingerprinter, canonical_json
from store.planning import EncoderKey
from store.table import ClipTable

ABSENT, VALID, REJECTED = range(3)

Side = tuple[ClipTable, np.ndarray, np.ndarray]
"""A table, the rows of the clips in it, and the contents of these clips."""

MOST_SETTINGS = 4
"""Settings named when an encoder changed."""


def cell_differences(
    feature: str, encoders: Sequence[EncoderKey], before: Side, after: Side
) -> Iterator[tuple[int, str]]:
    """(position of the clip, what happened and why) of each cell of a feature that differs.

    `encoders`: those that are recorded on either side; the sides hold the same clips in the same
    order.
    """
    prints = [_column(side[0].fingerprints, feature, side[1]) for side in (before, after)]
    reasons = [_column(side[0].rejections, feature, side[1]) for side in (before, after)]
    differs = np.flatnonzero((prints[0] != prints[1]) | (reasons[0] != reasons[1]))
    if not len(differs):
        return
    states = [
        np.where(p[differs] == "", ABSENT, np.where(r[differs] == "", VALID, REJECTED)).tolist()
        for p, r in zip(prints, reasons, strict=True)
    ]
    makers = [
        _proven(encoders, side, differs, p[differs]).tolist()
        for side, p in zip((before, after), prints, strict=True)
    ]
    why = _Reasons(encoders, before, after)
    for k, i in enumerate(differs.tolist()):
        old, new = states[0][k], states[1][k]
        was, now = reasons[0][i], reasons[1][i]
        if new == ABSENT:
            yield i, "gone"
        elif old == ABSENT:
            yield i, "computed, was absent" if new == VALID else f"rejected: {now}"
        else:
            same = prints[0][i] == prints[1][i]
            cause = "computed again" if same else why.of(i, makers[0][k], makers[1][k])
            yield i, _words(old, new, was, now, cause)


def _words(old: int, new: int, was: str, now: str, cause: str) -> str:
    if new == VALID:
        return (
            f"recomputed: {cause}" if old == VALID else f"valid now ({cause}), was rejected: {was}"
        )
    if old == VALID:
        return f"rejected now ({cause}): {now}"
    return f"rejected again ({cause}): {now if now == was else f'{was} -> {now}'}"


def _column(columns: Mapping[str, np.ndarray], feature: str, rows: np.ndarray) -> np.ndarray:
    values = columns.get(feature)
    return np.full(len(rows), "", object) if values is None else values[rows]


def _proven(
    encoders: Sequence[EncoderKey], side: Side, positions: np.ndarray, prints: np.ndarray
) -> np.ndarray:
    """Index of the encoder that gives each fingerprint; -1 if none that is recorded does."""
    table, rows, contents = side
    found = np.full(len(positions), -1)
    tried = set()
    for number, key in enumerate(encoders):
        text = canonical_json([key.identity, list(key.upstream)])
        left = np.flatnonzero((found < 0) & (prints != ""))
        if text in tried or not len(left):
            continue
        tried.add(text)
        at = positions[left]
        maker = Fingerprinter(key.identity, key.upstream)
        above = [_column(table.fingerprints, name, rows[at]).tolist() for name in maker.upstream]
        made = maker.of_many([str(content).encode() for content in contents[at]], above)
        found[left[np.array(made, object) == prints[left]]] = number
    return found


class _Reasons:
    """The cause of a new fingerprint, in words; each pair of encoders is described once."""

    def __init__(self, encoders: Sequence[EncoderKey], before: Side, after: Side) -> None:
        self.encoders, self.before, self.after = encoders, before, after
        self._described: dict[tuple[int, int], str] = {}

    def of(self, i: int, old: int, new: int) -> str:
        """`old`, `new`: proven encoders, -1 for unknown."""
        if self.before[2][i] != self.after[2][i]:
            return "content changed"
        pair = (old, new)
        if pair not in self._described:
            self._described[pair] = self._describe(*pair)
        text = self._described[pair]
        return text or f"upstream changed: {', '.join(self._changed_above(i, new)) or 'unknown'}"

    def _describe(self, old: int, new: int) -> str:
        """ "" if both are one encoder."""
        if old < 0 and new < 0:
            return "by encoders that are not recorded"
        if old < 0:
            return f"encoder is {_name(self.encoders[new])} now, the one before is not recorded"
        if new < 0:
            return f"encoder was {_name(self.encoders[old])}, the one now is not recorded"
        return describe_change(self.encoders[old], self.encoders[new])

    def _changed_above(self, i: int, encoder: int) -> list[str]:
        changed = []
        for name in self.encoders[encoder].upstream:
            then = _column(self.before[0].fingerprints, name, self.before[1][i : i + 1])[0]
            now = _column(self.after[0].fingerprints, name, self.after[1][i : i + 1])[0]
            if then != now:
                changed.append(name)
        return changed


def describe_change(old: EncoderKey, new: EncoderKey) -> str:
    """What differs between two encoders, in words; "" if nothing does."""
    then, now = _flat(old.identity), _flat(new.identity)
    changed = [
        f"{name} {_value(then, name)} -> {_value(now, name)}"
        for name in dict.fromkeys([*then, *now])
        if then.get(name, _NONE) != now.get(name, _NONE)
    ]
    if sorted(old.upstream) != sorted(new.upstream):
        changed.append(f"reads {_list(old.upstream)} -> {_list(new.upstream)}")
    if not changed:
        return ""
    more = len(changed) - MOST_SETTINGS
    named = ", ".join(changed[:MOST_SETTINGS]) + (f" and {more} more" if more > 0 else "")
    name = _called(old) if _called(old) == _called(new) else ""
    return f"encoder {name} changed: {named}".replace("  ", " ")


_NONE = object()


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        flat.update(_flat(inner, f"{prefix}.{name}" if prefix else str(name)))
    return flat


def _value(flat: Mapping[str, Any], name: str) -> str:
    text = str(flat[name]) if name in flat else "none"
    return text if len(text) <= 24 else text[:21] + "..."


def _list(names: Sequence[str]) -> str:
    return " and ".join(sorted(names)) or "nothing"


def _called(key: EncoderKey) -> str:
    return str(key.identity.get("encoder", key.identity.get("name", key.feature)))


def _name(key: EncoderKey) -> str:
    version = key.identity.get("version")
    return f"{_called(key)} version {version}" if version is not None else _called(key)
