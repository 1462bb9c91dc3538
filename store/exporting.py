"""A snapshot's dataset as plain files, for people who do not use emohead.

    clips.parquet                        one row a clip: the clip table, `rejected`, `file`
    features/<feature>/<file>.npy        frames of a clip, first axis frames (form npy)
    tokens/<feature>/<file>.npy          token table of a token-index feature
    clips/<file>.safetensors             all chosen features of a clip (form safetensors)
    hyperplanes/<feature>/<scope>.npz    arrays of a fit, and .json: attributes, clips, features
    manifest.json, README.txt            which snapshot made it, with which features

The export is built beside its folder and takes its name when it is whole. Killed and called again,
it goes on where it stopped.
"""

import hashlib
import json
import os
import shutil
import urllib.parse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.numpy import save_file

from store.errors import ExportError, UnknownError
from store.fingerprints import canonical_json
from store.hyperplanes import fit_origin, read_planes, stored_fits
from store.layout import open_dataset
from store.read import Snapshot
from store.schema import FeatureSchema
from store.versions import package_version

EXPORT_VERSION = 1
MANIFEST = "manifest.json"
LONGEST_NAME = 150
"""Characters of a file name; longer clip ids are cut and end in a hash."""

Form = Literal["npy", "safetensors"]


@dataclass(frozen=True)
class Export:
    """What an export holds."""

    folder: Path
    snapshot_id: str
    dataset: str
    features: tuple[str, ...]
    clips: int
    cells: int
    """Valid cells written."""
    bytes: int
    """Of all files."""
    reused: bool
    """True if the folder held this very export already."""

    def summary(self) -> str:
        """The export in words."""
        features = ", ".join(self.features) or "no features"
        there = " was there already" if self.reused else ""
        return (
            f"{self.folder}{there}: {self.dataset} of snapshot {self.snapshot_id}, "
            f"{self.clips} clips, {features}: {self.cells} cells, {self.bytes} bytes"
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "folder": str(self.folder), "features": list(self.features)}


def export(
    snapshot: Snapshot,
    dataset: str,
    folder: str | Path,
    features: Sequence[str] = (),
    form: Form = "npy",
    clips: Sequence[str] | None = None,
) -> Export:
    """Write the clip table, the valid cells of `features` and all hyperplanes of a dataset.

    `clips`: those whose cells are written (default: all; the clip table always has all of them).
    Raises UnknownError, ExportError if the folder holds anything but an export of emohead, or if
    another process exports to it. An export of another snapshot or of other features is replaced
    when the new one is whole.
    """
    target = Path(folder).expanduser().resolve()
    schemas = snapshot.features(dataset)
    for name in features:
        if name not in schemas:
            raise UnknownError(f"{dataset} has no feature {name!r}; it has: {', '.join(schemas)}")
    table = snapshot.table(dataset)
    for clip_id in clips or ():
        table.row(clip_id)
    wanted: dict[str, Any] = {
        "emohead_export": EXPORT_VERSION,
        "snapshot": snapshot.id,
        "dataset": dataset,
        "form": form,
        "features": {name: schemas[name].to_json() for name in features},
        "clips": None if clips is None else list(clips),
    }
    key = hashlib.sha256(canonical_json(wanted).encode()).hexdigest()[:12]
    _check_target(target)
    if (done := _stored(target)) is not None and done["key"] == key:
        return _export_of(target, done, reused=True)
    building = target.parent / f".{target.name}.export-{key}"
    try:
        building.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"{building} cannot be made ({error.strerror}): free it") from error
    lock = FileLock(target.parent / f".{target.name}.export.lock", timeout=0)
    try:
        with lock:
            for old in target.parent.glob(f".{target.name}.export-*"):
                if old != building:  # of another snapshot, left by a killed export
                    shutil.rmtree(old, ignore_errors=True)
            counts = _write(snapshot, dataset, building, list(features), schemas, form, clips)
            manifest = {**wanted, "key": key, "emohead": package_version(), **counts}
            _put(building / "README.txt", _readme(manifest).encode())
            _put(building / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False).encode())
            _check_target(target)
            _swap(building, target)
    except Timeout as error:
        raise ExportError(f"another process exports to {target}: wait for it") from error
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise ExportError(
            f"the export to {target} broke off ({why}): {target} is as it was; "
            "free the disk or choose another folder, then run again: it goes on where it stopped"
        ) from error
    lock_file = Path(lock.lock_file)
    lock_file.unlink(missing_ok=True)
    return _export_of(target, manifest, reused=False)


def file_name(clip_id: str) -> str:
    """Name of a clip's files: its id, with what a file name cannot hold as %XX."""
    name = urllib.parse.quote(clip_id, safe=" ()+,=@")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > LONGEST_NAME:
        name = f"{name[:100]}-{hashlib.sha256(clip_id.encode()).hexdigest()[:16]}"
    return name


def _check_target(target: Path) -> None:
    """Only an empty folder, or an export, may be replaced."""
    if not target.exists():
        return
    if not target.is_dir():
        raise ExportError(f"{target} is a file: give a new folder")
    if any(target.iterdir()) and _stored(target) is None:
        raise ExportError(
            f"{target} is not empty and was not exported by emohead: give a new or empty folder"
        )


def _stored(target: Path) -> dict[str, Any] | None:
    """Manifest of an export; None if the folder holds none."""
    try:
        manifest = json.loads((target / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and "emohead_export" in manifest else None


def _export_of(target: Path, manifest: dict[str, Any], *, reused: bool) -> Export:
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return Export(
        target,
        manifest["snapshot"],
        manifest["dataset"],
        tuple(manifest["features"]),
        manifest["n_clips"],
        manifest["n_cells"],
        size,
        reused,
    )


def _write(
    snapshot: Snapshot,
    dataset: str,
    folder: Path,
    features: list[str],
    schemas: dict[str, FeatureSchema],
    form: Form,
    clips: Sequence[str] | None,
) -> dict[str, int]:
    table = snapshot.table(dataset)
    frame = snapshot.clips(dataset)
    frame["file"] = [file_name(clip_id) for clip_id in frame["clip_id"]]
    twice = frame["file"][frame["file"].str.lower().duplicated()]
    if len(twice):  # on a file system that takes a and A for the same
        frame["file"] = [f"{name}~{row}" for row, name in enumerate(frame["file"])]
    _put_parquet(folder / "clips.parquet", frame.reset_index(drop=True))
    cells = 0
    for clip_id, name in zip(frame["clip_id"], frame["file"], strict=True):
        if clips is not None and clip_id not in clips:
            continue
        row = table.row(clip_id)
        valid = [feature for feature in features if table.state(row, feature) == "valid"]
        cells += len(valid)
        _put_clip(snapshot, dataset, folder, clip_id, name, valid, schemas, form)
    _put_hyperplanes(snapshot, dataset, folder)
    return {"n_clips": len(frame), "n_cells": cells}


def _put_clip(
    snapshot: Snapshot,
    dataset: str,
    folder: Path,
    clip_id: str,
    name: str,
    features: list[str],
    schemas: dict[str, FeatureSchema],
    form: Form,
) -> None:
    """Write a clip's cells, unless an interrupted export did."""
    if form == "safetensors":
        path = folder / "clips" / f"{name}.safetensors"
        if not features or path.exists():
            return
        values = snapshot.read_many(dataset, [(f, clip_id, 0, None) for f in features])
        arrays = dict(zip(features, values, strict=True))
        for feature in features:
            if schemas[feature].token_dim is not None:
                arrays[f"{feature}#tokens"] = snapshot.tokens(dataset, feature, clip_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(path.name + ".part")
        contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        save_file(contiguous, half, {"clip_id": clip_id, "snapshot": snapshot.id})
        half.replace(path)
        return
    paths = {feature: folder / "features" / feature / f"{name}.npy" for feature in features}
    missing = [feature for feature, path in paths.items() if not path.exists()]
    found = snapshot.read_many(dataset, [(feature, clip_id, 0, None) for feature in missing])
    for feature, values in zip(missing, found, strict=True):
        if schemas[feature].token_dim is not None:  # before the frames, whose file says "done"
            tokens = snapshot.tokens(dataset, feature, clip_id)
            _put_npy(folder / "tokens" / feature / f"{name}.npy", tokens)
        _put_npy(paths[feature], values)


def _put_hyperplanes(snapshot: Snapshot, dataset: str, folder: Path) -> None:
    group = open_dataset(snapshot.root, dataset)
    for feature, scope in stored_fits(group):
        record = read_planes(group, feature, scope) or {}
        attributes = record.pop("attrs", {})
        clips, reads = fit_origin(group, feature, scope)
        base = folder / "hyperplanes" / feature / scope
        base.parent.mkdir(parents=True, exist_ok=True)
        half = base.with_name(scope + ".part.npz")
        np.savez(half, **record)
        half.replace(base.with_name(scope + ".npz"))
        facts = {
            "feature": feature,
            "scope": scope,
            "fitted_on": {
                "clips": None if clips is None else list(clips),
                "features": list(reads),
            },
            "attributes": attributes,
        }
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        _put(base.with_name(scope + ".json"), text.encode())


def _put_parquet(path: Path, frame: pd.DataFrame) -> None:
    half = path.with_name(path.name + ".part")
    frame.to_parquet(half, index=False)
    half.replace(path)


def _put_npy(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".part")
    with half.open("wb") as file:
        np.save(file, values)
    half.replace(path)


def _put(path: Path, data: bytes) -> None:
    half = path.with_name(path.name + ".part")
    half.write_bytes(data)
    half.replace(path)


def _swap(building: Path, target: Path) -> None:
    """Give a whole export its name; an export that lay there goes."""
    if target.exists() and any(target.iterdir()):
        old = target.parent / f".{target.name}.export-old"
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        building.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        return
    os.replace(building, target)  # noqa: PTH105 (over an empty folder, too)


def _readme(manifest: dict[str, Any]) -> str:
    features = "\n".join(
        f"  {name:<22} {schema['dtype']} {schema['shape']} a frame"
        + (
            f", index into a token table of width {schema['token_dim']} (-1: silence)"
            if schema["token_dim"]
            else ""
        )
        for name, schema in manifest["features"].items()
    )
    where = (
        "features/<feature>/<file>.npy, token tables in tokens/<feature>/<file>.npy"
        if manifest["form"] == "npy"
        else "clips/<file>.safetensors, one array a feature, <feature>#tokens its token table"
    )
    return f"""Exported by emohead {manifest["emohead"]}.

snapshot  {manifest["snapshot"]}
dataset   {manifest["dataset"]}
clips     {manifest["n_clips"]} (clips.parquet: one row each; column `file` names its files)
cells     {manifest["n_cells"]} valid ones; column `rejected` says why a clip lacks a feature

25 frames a second; the first axis of every array is the frame. Features:
{features or "  none"}

They lie in {where}.
hyperplanes/<feature>/<scope>.npz and .json: fits on a feature, with the clips they were made from.
manifest.json says the same to programs.
"""
