"""A store kept in order: releases named and forgotten, history cleaned, holes closed, files out."""

import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import store
from flows.errors import FlowError
from flows.store_views import View
from store import Cache, Pack, PackError
from store.exporting import Form

UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def tags(location: str) -> View:
    """Releases and the snapshots they name."""
    found = Cache.open(location).tags()
    width = max(map(len, found), default=0)
    text = "\n".join(f"{name:<{width}}  {snapshot_id}" for name, snapshot_id in found.items())
    return View(text or "no tags", found)


def tag(location: str, name: str, ref: str = "main") -> View:
    """Name a snapshot for ever."""
    snapshot_id = Cache.open(location).tag(name, ref)
    return View(f"{name}: snapshot {snapshot_id}", {"tag": name, "snapshot": snapshot_id})


def untag(location: str, name: str) -> View:
    """Take a name from its snapshot; the name is never free again."""
    snapshot_id = Cache.open(location).untag(name)
    text = (
        f"{name} no longer names snapshot {snapshot_id}; `emohead store gc --expire` may forget it"
    )
    return View(text, {"untagged": name, "snapshot": snapshot_id})


def moment(text: str, now: datetime.datetime | None = None) -> datetime.datetime:
    """A time in UTC: `30d`, `12h`, `90m` before now, or `2026-05-01`, `2026-05-01T12:00`.

    Raises:
        FlowError: neither of these.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    age = re.fullmatch(r"(\d+(?:\.\d+)?)([dhm])", text.strip())
    if age is not None:
        return now - datetime.timedelta(**{UNITS[age[2]]: float(age[1])})
    try:
        given = datetime.datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise FlowError(
            f"{text!r} is no age and no date: give 30d, 12h, 90m, or 2026-05-01"
        ) from error
    return given if given.tzinfo else given.replace(tzinfo=datetime.UTC)


def gc(location: str, older_than: str, *, expire: bool, dry_run: bool) -> View:
    """Delete what no snapshot needs; with `expire`, forget old untagged snapshots before."""
    before = moment(older_than)
    done = Cache.open(location).gc(before, expire=expire, dry_run=dry_run)
    would = "would be " if dry_run else ""
    lines = [f"older than {before:%Y-%m-%d %H:%M} UTC", freed_text(done, would, expire=expire)]
    if dry_run and expire and done["snapshots_expired"]:
        lines.append("and what only the forgotten snapshots need, which is known once they are")
    return View("\n".join(lines), {"older_than": before.isoformat(), "dry_run": dry_run, **done})


def freed_text(done: dict[str, int], would: str = "", *, expire: bool = True) -> str:
    """What was forgotten and deleted, in words."""
    lines = [f"snapshots {would}forgotten: {done['snapshots_expired']}"] if expire else []
    lines.append(
        f"{would}deleted: {done['chunks_deleted']} chunks, {done['manifests_deleted']} manifests, "
        f"{done['snapshots_deleted']} snapshots, {done['bytes_deleted']} bytes"
    )
    return "\n".join(lines)


def compact(location: str, dataset: str | None = None) -> View:
    """Close the holes of one dataset, or of all."""
    cache = Cache.open(location)
    datasets = [dataset] if dataset is not None else cache.datasets()
    done = [store.compact(cache, name) for name in datasets]
    text = "\n".join(one.summary() for one in done) or "the store has no datasets"
    return View(text, [one.to_json() for one in done])


def migrate(location: str) -> View:
    """Bring a store of an older schema version to today's form."""
    done = store.migrate(Cache.open(location))
    return View(done.summary(), done.to_json())


def fall_back(location: str) -> View:
    """Point a damaged local store at its newest intact snapshot."""
    snapshot_id = store.fall_back(location)
    text = (
        f"main is snapshot {snapshot_id}, the newest that is intact; "
        "`emohead preprocess` computes what it lacks"
    )
    return View(text, {"snapshot": snapshot_id})


def export(
    location: str,
    folder: Path,
    ref: str,
    dataset: str | None,
    features: Sequence[str],
    form: Form,
    clips: Sequence[str] | None,
) -> View:
    """A dataset as plain files.

    Raises:
        FlowError: no dataset is named and the store has not exactly one.
    """
    snapshot = Cache.open(location).snapshot(ref)
    if dataset is None:
        datasets = snapshot.datasets()
        if len(datasets) != 1:
            there = ", ".join(datasets) or "none"
            raise FlowError(f"the store has these datasets: {there}; name one with --dataset")
        (dataset,) = datasets
    done = store.export(snapshot, dataset, folder, features, form, clips)
    return View(done.summary(), done.to_json())


def packs(folder: Path) -> View:
    """The packs in a folder, with the snapshot and the features of each.

    Raises:
        FlowError: the folder is not there.
    """
    if not folder.is_dir():
        raise FlowError(f"{folder} is not there; give the folder that training keeps its packs in")
    lines, data = [], []
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.name.startswith("."):
            continue
        size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
        facts: dict[str, Any] = {"pack": path.name, "bytes": size}
        try:
            pack = Pack(path)
            facts |= {
                "snapshot": pack.snapshot_id,
                "dataset": pack.dataset,
                "features": sorted(pack.features),
                "clips": len(pack.clips),
            }
            told = (
                f"{facts['clips']} clips of {facts['dataset']}, snapshot {facts['snapshot']}: "
                f"{', '.join(facts['features'])}"
            )
        except PackError as error:
            facts["problem"] = told = str(error)
        lines.append(f"{path.name}  {size:>12} bytes  {told}")
        data.append(facts)
    good = not any("problem" in facts for facts in data)
    return View("\n".join(lines) or f"no packs in {folder}", data, good)
