"""A store looked at: in words for people, in plain data for programs."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import store
from store import Cache, Snapshot
from store.encoders import stored_encoders
from store.hyperplanes import fit_origin, stored_fits
from store.layout import open_dataset
from store.versions import schema_version


@dataclass(frozen=True)
class View:
    """One answer, twice."""

    text: str
    data: Any
    """JSON-able."""
    good: bool = True
    """False if what was looked at is not as it should be."""


def info(location: str, ref: str = "main") -> View:
    """Datasets, clips, and how many cells of each feature are valid, rejected or absent."""
    cache = Cache.open(location)
    snapshot = cache.snapshot(ref)
    tags = cache.tags()
    version = schema_version(snapshot.root)
    lines = [f"{cache.location}", f"snapshot {snapshot.id}, schema version {version}"]
    lines += [f"release {name}: {snapshot_id}" for name, snapshot_id in tags.items()]
    datasets = {}
    for dataset in snapshot.datasets():
        found = _dataset(snapshot, dataset)
        datasets[dataset] = found
        lines.append(
            f"\n{dataset}: {found['clips']} clips, {found['seconds']:.0f} s, "
            f"{found['identities']} identit{'y' if found['identities'] == 1 else 'ies'}"
        )
        if found["emotions"]:
            emotions = (f"{name} {count}" for name, count in found["emotions"].items())
            lines.append("  " + ", ".join(emotions))
        for feature, facts in found["features"].items():
            form = f"{facts['dtype']} {facts['shape']}"
            lines.append(
                f"  {feature:<22} {form:<20} {facts['valid']:>6} valid "
                f"{facts['rejected']:>5} rejected {facts['absent']:>5} absent"
                + (f"  {facts['encoder']}" if facts["encoder"] else "")
            )
        for fit in found["hyperplanes"]:
            made_from = "unknown clips" if fit["clips"] is None else f"{fit['clips']} clips"
            lines.append(f"  hyperplanes {fit['scope']} on {fit['feature']}, of {made_from}")
    data = {
        "location": cache.location,
        "snapshot": snapshot.id,
        "schema_version": version,
        "tags": tags,
        "datasets": datasets,
    }
    return View("\n".join(lines), data)


def _dataset(snapshot: Snapshot, dataset: str) -> dict[str, Any]:
    clips, cells = snapshot.clips(dataset), snapshot.cells(dataset)
    group = open_dataset(snapshot.root, dataset)
    refused = [json.loads(text) for text in clips.rejected]
    features = {}
    for feature, schema in snapshot.features(dataset).items():
        valid = sum(fingerprint != "" for fingerprint in cells[feature])
        rejected = sum(feature in reasons for reasons in refused)
        makers = stored_encoders(group, feature)
        features[feature] = {
            "dtype": schema.dtype,
            "shape": list(schema.shape),
            "valid": valid,
            "rejected": rejected,
            "absent": len(clips) - valid - rejected,
            "encoder": _encoder(makers[-1].identity) if makers else "",
        }
    emotions = clips.emotion[clips.emotion != ""].value_counts()
    fits = []
    for feature, scope in stored_fits(group):
        made_from, _ = fit_origin(group, feature, scope)
        n = None if made_from is None else len(made_from)
        fits.append({"feature": feature, "scope": scope, "clips": n})
    return {
        "clips": len(clips),
        "seconds": int(clips.frames.sum()) / 25,
        "identities": int(clips.identity.nunique()),
        "emotions": {str(name): int(count) for name, count in emotions.items()},
        "features": features,
        "hyperplanes": fits,
    }


def _encoder(identity: Any) -> str:
    name = identity.get("encoder", identity.get("name", ""))
    return f"{name} {identity['version']}".strip() if "version" in identity else str(name)


def log(location: str, ref: str = "main", limit: int | None = None) -> View:
    """Snapshots, newest first."""
    cache = Cache.open(location)
    names: dict[str, list[str]] = {}
    for name, snapshot_id in cache.tags().items():
        names.setdefault(snapshot_id, []).append(name)
    entries = cache.log(ref, limit)
    lines = [
        f"{entry.id}  {entry.written_at:%Y-%m-%d %H:%M:%S}  {entry.message}"
        + "".join(f"  [{name}]" for name in names.get(entry.id, []))
        for entry in entries
    ]
    data = [
        {
            "id": entry.id,
            "written_at": entry.written_at.isoformat(),
            "message": entry.message,
            "tags": names.get(entry.id, []),
            "metadata": entry.metadata,
        }
        for entry in entries
    ]
    return View("\n".join(lines), data)


def validate(location: str, ref: str = "main", *, read_data: bool) -> View:
    """The validation report, and what repairs the cells that are damaged."""
    report = Cache.open(location).validate(ref, read_data=read_data)
    text = report.summary()
    if report.damaged:
        text += (
            f"\n{len(report.damaged)} damaged cells can be computed again, and no others, by\n"
            f"  emohead preprocess FOLDER --store {location} --repair\n"
            "where FOLDER holds their videos"
        )
    data = {
        "snapshot": report.snapshot_id,
        "ok": report.ok,
        "read_data": report.read_data,
        "clips": report.clips,
        "cells": {"valid": report.valid, "rejected": report.rejected, "absent": report.absent},
        "problems": [asdict(problem) for problem in report.problems],
        "damaged": [{"clip": clip, "feature": feature} for clip, feature in report.damaged],
    }
    return View(text, data, report.ok)


def diff(location: str, before: str, after: str = "main", examples: int = 3) -> View:
    """What differs between two snapshots, and why."""
    cache = Cache.open(location)
    found = store.diff(cache.snapshot(before), cache.snapshot(after))
    return View(found.summary(examples), found.to_json())
