"""The clips of a store as the studio lists them: read once, filtered and paged in memory."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from flows.errors import NothingToDo
from flows.inspection.clip import ClipFacts, clip_facts
from flows.inspection.find import source_name
from flows.store_features import names_in, profile_of_store
from pipeline.quality_rules import QualityConfig, judge
from store import Cache, Snapshot

PAGE = 24
"""Clips of one page."""
STATES = ("complete", "in part", "refused")
"""Every feature valid; some rejected or absent; nothing usable."""


@dataclass(frozen=True)
class Entry:
    """One clip in the list."""

    clip_id: str
    name: str
    identity: str
    emotion: str
    frames: int
    state: str
    """One of `STATES`."""
    flags: tuple[str, ...]
    reason: str
    """Why it was refused or is there only in part; "" if it is complete."""


@dataclass(frozen=True)
class Query:
    """What is asked for; "" means any."""

    text: str = ""
    """Part of a file name or id."""
    identity: str = ""
    emotion: str = ""
    flag: str = ""
    """A flag, or `any`, or `none`."""
    state: str = ""
    page: int = 0


@dataclass(frozen=True)
class Choices:
    """Values that occur."""

    identities: tuple[str, ...]
    emotions: tuple[str, ...]
    flags: tuple[str, ...]


class Library:
    """One snapshot of a store, read-only. Its table is read when first asked for, and once."""

    def __init__(self, store: str, dataset: str = "clips", ref: str = "main") -> None:
        """Open the store.

        Raises:
            StoreError: there is none.
            NothingToDo: it has no such dataset.
        """
        self.cache = Cache.open(store)
        self.dataset, self.ref = dataset, ref
        self.snapshot: Snapshot = self.cache.snapshot(ref)
        if not self.snapshot.has_dataset(dataset):
            known = ", ".join(map(repr, self.snapshot.datasets())) or "none"
            raise NothingToDo(
                f"{store} has no dataset {dataset!r} (datasets: {known}); run "
                "`emohead preprocess videos --store ...` first, or name one with --dataset"
            )
        profile = profile_of_store(self.cache, ref, dataset)
        self.names = names_in(self.snapshot, dataset, profile)
        self.lock = threading.RLock()
        """Requests come on several threads; a snapshot's caches are filled by one at a time."""

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """All clips, in the order of the store."""
        with self.lock:
            table = self.snapshot.clips(self.dataset)
            cells = self.snapshot.cells(self.dataset)
        whole = list((cells != "").all(axis=1)) if len(cells.columns) else [True] * len(table)
        limits = QualityConfig()
        entries = []
        columns = ("clip_id", "uri", "identity", "emotion", "facts", "rejected")
        texts = zip(*(table[name].astype(str) for name in columns), strict=True)
        for row, length, complete in zip(texts, table["frames"], whole, strict=True):
            clip_id, uri, identity, emotion, facts, refused = row
            rejected, frames = json.loads(refused), int(length)
            state = "refused" if not frames else "complete" if complete else "in part"
            reason = "; ".join(dict.fromkeys(rejected.values()))
            entries.append(
                Entry(
                    clip_id=clip_id,
                    name=source_name(uri) or clip_id,
                    identity=identity,
                    emotion=emotion,
                    frames=frames,
                    state=state,
                    flags=tuple(judge(json.loads(facts or "{}"), limits)),
                    reason=reason or ("some features are absent" if state == "in part" else ""),
                )
            )
        return tuple(entries)

    @cached_property
    def by_id(self) -> dict[str, Entry]:
        """Clips by id: what a request may name."""
        return {entry.clip_id: entry for entry in self.entries}

    @cached_property
    def choices(self) -> Choices:
        """What can be filtered by."""

        def seen(values: Sequence[str]) -> tuple[str, ...]:
            return tuple(sorted({value for value in values if value}))

        return Choices(
            seen([entry.identity for entry in self.entries]),
            seen([entry.emotion for entry in self.entries]),
            seen([flag for entry in self.entries for flag in entry.flags]),
        )

    def search(self, query: Query) -> list[Entry]:
        """Every clip that fits, in the order of the store."""
        text = query.text.strip().lower()
        return [
            entry
            for entry in self.entries
            if (not text or text in entry.name.lower() or text in entry.clip_id.lower())
            and query.identity in ("", entry.identity)
            and query.emotion in ("", entry.emotion)
            and query.state in ("", entry.state)
            and (
                not query.flag
                or query.flag in entry.flags
                or (query.flag == "any" and bool(entry.flags))
                or (query.flag == "none" and not entry.flags)
            )
        ]

    def page(self, query: Query) -> tuple[list[Entry], int, Query]:
        """Clips of the asked page, how many fit in all, and the query with a page that exists."""
        found = self.search(query)
        last = max(0, (len(found) - 1) // PAGE)
        query = replace(query, page=min(max(query.page, 0), last))
        return found[query.page * PAGE : (query.page + 1) * PAGE], len(found), query

    def facts(self, clip_id: str) -> ClipFacts:
        """One clip's row in words."""
        with self.lock:
            return clip_facts(self.snapshot, self.dataset, clip_id)

    def has(self, clip_id: str, feature: str) -> bool:
        """Whether a cell is valid."""
        with self.lock:
            return self.snapshot.state(self.dataset, clip_id, feature) == "valid"

    def read(
        self, clip_id: str, feature: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray:
        """Frames of a cell, as `Snapshot.read`."""
        with self.lock:
            return self.snapshot.read(self.dataset, feature, clip_id, start, stop)
