"""A pack: chosen features of a snapshot as plain memory-mapped arrays, for training."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
import uuid
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.format import dtype_to_descr, write_array_header_1_0

from store.errors import CellError, PackError, UnknownError, WindowError
from store.fingerprints import canonical_json
from store.read import Snapshot
from store.schema import FeatureSchema

PACK_VERSION = 1
INDEX = "pack.json"
USED = ".used"
"""File whose modification time is when the pack was last opened."""

STALE_SECONDS = 24 * 3600
"""Age at which an unfinished build is taken to be abandoned."""

READ_BYTES = 16 * 1024 * 1024
"""Decoded bytes that a build reads at once."""

CLIP_KEYS = ("clip_id", "identity", "emotion", "intensity", "view", "sentence", "split")


class Pack:
    """Features of many clips, one after the other, each feature one `.npy` file.

    Picklable: only the folder travels, each process maps the files for itself.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open a built pack; raises PackError."""
        self.folder = Path(folder)
        try:
            self._hold()
            self._index: dict[str, Any] = json.loads((self.folder / INDEX).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise PackError(
                f"{self.folder} is not a pack ({error}): build it with store.pack"
            ) from error
        if self._index["pack_version"] != PACK_VERSION:
            raise PackError(
                f"{self.folder} has pack version {self._index['pack_version']}, this emohead "
                f"reads {PACK_VERSION}: delete the folder and build it again"
            )
        self._maps: dict[str, np.ndarray] = {}
        self._rows = {clip[0]: i for i, clip in enumerate(self._index["clips"])}
        self._first: list[int] = self._index["first"]
        self._frames: list[int] = self._index["frames"]

    def _hold(self) -> None:
        """Keep the pack from being evicted while this object lives, and say that it is used. The
        operating system lets go of the lock when the process dies."""
        path = self.folder / INDEX
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not path.exists() or not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise FileNotFoundError(f"{path} was evicted")
        with contextlib.suppress(OSError):  # the folder may be read-only
            (self.folder / USED).touch()

    def __reduce__(self) -> tuple[type["Pack"], tuple[str]]:
        """Pickle the folder."""
        return Pack, (str(self.folder),)

    def __repr__(self) -> str:
        """The folder."""
        return f"Pack({str(self.folder)!r})"

    @property
    def snapshot_id(self) -> str:
        """Snapshot that the pack was made of."""
        return self._index["snapshot"]

    @property
    def dataset(self) -> str:
        """Dataset that the pack was made of."""
        return self._index["dataset"]

    @property
    def features(self) -> dict[str, FeatureSchema]:
        """Schemas of the packed features."""
        return {n: FeatureSchema.from_json(f["schema"]) for n, f in self._index["features"].items()}

    @property
    def skipped(self) -> dict[str, dict[str, str]]:
        """Clips left out, with the state of each feature that is not valid."""
        return self._index["skipped"]

    @property
    def clips(self) -> pd.DataFrame:
        """The offsets table: index clip id; `first`, `frames` in the pack; identity, emotion, …"""
        table = pd.DataFrame(self._index["clips"], columns=list(CLIP_KEYS))
        table["first"], table["frames"] = self._first, self._frames
        return table.set_index(pd.Index(table["clip_id"].to_numpy()))

    def array(self, feature: str) -> np.ndarray:
        """All frames of a feature, memory-mapped, read-only."""
        found = self._maps.get(feature)
        return self._map(feature, "file", feature) if found is None else found

    def window(self, feature: str, clip_id: str, start: int, length: int) -> np.ndarray:
        """Frames start..start + length of a clip: a view, nothing is copied. Raises WindowError."""
        row = self._row(clip_id)
        if start < 0 or length < 0 or start + length > self._frames[row]:
            raise WindowError(
                f"frames {start}..{start + length} of clip {clip_id} do not exist: "
                f"it has {self._frames[row]} frames"
            )
        first = self._first[row] + start
        return self.array(feature)[first : first + length]

    def tokens(self, feature: str, clip_id: str) -> np.ndarray:
        """Token table of a clip, a view."""
        entry = self._feature(feature)
        if "token_offsets" not in entry:
            raise PackError(f"{feature} of {self.folder} has no token table")
        row, offsets = self._row(clip_id), entry["token_offsets"]
        table = self._maps.get(feature + "#tokens")
        if table is None:
            table = self._map(feature, "token_file", feature + "#tokens")
        return table[offsets[row] : offsets[row + 1]]

    def _row(self, clip_id: str) -> int:
        try:
            return self._rows[clip_id]
        except KeyError:
            why = self.skipped.get(clip_id)
            detail = f"it was left out: {why}" if why else "the snapshot does not have it"
            raise UnknownError(f"clip {clip_id!r} is not in {self.folder}: {detail}") from None

    def _feature(self, feature: str) -> dict[str, Any]:
        try:
            return self._index["features"][feature]
        except KeyError:
            there = ", ".join(self._index["features"])
            raise UnknownError(
                f"{self.folder} has no feature {feature!r}; it has: {there}"
            ) from None

    def _map(self, feature: str, which: str, key: str) -> np.ndarray:
        name = self._feature(feature)[which]
        try:
            mapped = np.load(self.folder / name, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise PackError(
                f"{self.folder / name} is damaged ({error}): delete the folder and build it again"
            ) from error
        # A plain array over the mapping: np.memmap pays for its class at every slice.
        self._maps[key] = np.asarray(mapped)
        return self._maps[key]


def pack(
    snapshot: Snapshot,
    dataset: str,
    features: Sequence[str],
    location: str | Path,
    clips: Sequence[str] | None = None,
) -> Pack:
    """Build, or find, the pack of features of a snapshot in the folder `location`.

    Without `clips`: every clip of which all features are valid (the others are in `Pack.skipped`).
    The folder's name says the content, so a pack is built once and shared; a build appears under
    its name all at once, so it may be killed at any moment and run twice at once.
    Raises CellError if a named clip lacks a feature, PackError if no clip is left.
    """
    key = hashlib.sha256(
        canonical_json(
            [
                PACK_VERSION,
                snapshot.id,
                dataset,
                list(features),
                None if clips is None else [*clips],
            ]
        ).encode()
    ).hexdigest()[:16]
    base = Path(location)
    target = base / f"{dataset}-{key}"
    with contextlib.suppress(PackError):  # not there, or evicted at this moment
        return _open(target)
    base.mkdir(parents=True, exist_ok=True)
    _sweep(base)
    building = base / f".building-{key}-{uuid.uuid4().hex[:8]}"
    building.mkdir()
    try:
        _build(snapshot, dataset, features, clips, building)
        try:
            building.rename(target)
        except OSError:
            if not (target / INDEX).is_file():  # otherwise another process was first
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return _open(target)


def _open(target: Path) -> Pack:
    if not (target / INDEX).is_file():
        raise PackError(f"{target} is not there")
    return Pack(target)


def evict(location: str | Path, keep_bytes: int) -> list[Path]:
    """Delete packs in the folder `location`, the longest unused first, until the others take at
    most `keep_bytes`. A pack that any process has open stays. Returns what was deleted.

    A deleted pack is built again when it is asked for.
    """
    base = Path(location)
    if not base.is_dir():
        raise PackError(f"{base} is not a folder of packs: give the `location` of store.pack")
    _sweep(base)
    folders = [index.parent for index in base.glob(f"*/{INDEX}") if index.parent.name[0] != "."]
    sizes = {folder: sum(f.stat().st_size for f in folder.iterdir()) for folder in folders}
    left = sum(sizes.values())
    evicted = []
    for folder in sorted(folders, key=_last_use):
        if left <= keep_bytes:
            break
        if _delete_unused(folder):
            evicted.append(folder)
            left -= sizes[folder]
    return evicted


def _last_use(folder: Path) -> int:
    used = folder / USED
    return (used if used.exists() else folder / INDEX).stat().st_mtime_ns


def _delete_unused(folder: Path) -> bool:
    descriptor = os.open(folder / INDEX, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # First out of sight, so that nobody opens half of it.
        gone = folder.with_name(f".building-evicted-{uuid.uuid4().hex[:8]}")
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _build(
    snapshot: Snapshot,
    dataset: str,
    features: Sequence[str],
    clips: Sequence[str] | None,
    folder: Path,
) -> None:
    table = snapshot.table(dataset)
    schemas = snapshot.features(dataset)
    for name in features:
        if name not in schemas:
            raise UnknownError(f"{dataset} has no feature {name!r}; it has: {', '.join(schemas)}")
    chosen, skipped = [], {}
    for clip_id in table.row_of if clips is None else clips:
        row = table.row(clip_id)
        states = {name: table.state(row, name) for name in features}
        missing = {name: str(state) for name, state in states.items() if state != "valid"}
        if not missing:
            chosen.append(clip_id)
        elif clips is not None:
            raise CellError(
                f"clip {clip_id} cannot be packed: "
                + ", ".join(f"{name} is {state}" for name, state in missing.items())
                + "; leave the clip out or run preprocessing"
            )
        else:
            skipped[clip_id] = missing
    if not chosen:
        raise PackError(
            f"no clip of {dataset} in snapshot {snapshot.id} has all of {', '.join(features)}: "
            f"{len(skipped)} clips lack some; run preprocessing with a profile that has them"
        )
    frames = [snapshot.frames(dataset, clip_id) for clip_id in chosen]
    first = np.concatenate([[0], np.cumsum(frames)]).astype(int)
    index: dict[str, Any] = {
        "pack_version": PACK_VERSION,
        "snapshot": snapshot.id,
        "dataset": dataset,
        "features": {},
        "clips": [[_plain(table.columns[k][table.row(c)]) for k in CLIP_KEYS] for c in chosen],
        "first": [int(f) for f in first[:-1]],
        "frames": frames,
        "skipped": skipped,
    }
    for name in features:
        index["features"][name] = _pack_feature(
            snapshot, dataset, schemas[name], chosen, first, folder
        )
    # The index comes last: a folder without it is not a pack.
    with (folder / INDEX).open("w", encoding="utf-8") as file:
        json.dump(index, file, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())


def _pack_feature(
    snapshot: Snapshot,
    dataset: str,
    schema: FeatureSchema,
    clips: Sequence[str],
    first: np.ndarray,
    folder: Path,
) -> dict[str, Any]:
    stem = schema.name.replace("/", "__")
    entry: dict[str, Any] = {"schema": schema.to_json(), "file": f"{stem}.npy"}
    dtype, shape = np.dtype(schema.dtype), (int(first[-1]), *schema.shape)
    frame_bytes = dtype.itemsize * int(np.prod(schema.shape, dtype=np.int64))
    at_once = max(
        READ_BYTES // frame_bytes, max(first[i + 1] - first[i] for i in range(len(clips)))
    )
    # One buffer, filled again and again, is warm memory; a fresh mapping costs a fault a page.
    buffer = np.empty((min(at_once, shape[0]), *schema.shape), dtype)
    with (folder / entry["file"]).open("wb") as file:
        header = {"descr": dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        write_array_header_1_0(file, header)
        at = 0
        while at < len(clips):  # as many clips at once as fit: their requests overlap
            stop = at + 1
            while stop < len(clips) and first[stop + 1] - first[at] <= at_once:
                stop += 1
            windows = [(schema.name, clip_id, 0, None) for clip_id in clips[at:stop]]
            outs = [
                buffer[first[i] - first[at] : first[i + 1] - first[at]] for i in range(at, stop)
            ]
            snapshot.read_many(dataset, windows, outs)
            file.write(buffer[: first[stop] - first[at]].data)
            at = stop
    if schema.token_dim is not None:
        tables = [snapshot.tokens(dataset, schema.name, clip_id) for clip_id in clips]
        entry["token_file"] = f"{stem}__tokens.npy"
        entry["token_offsets"] = [0, *(int(n) for n in np.cumsum([len(t) for t in tables]))]
        np.save(folder / entry["token_file"], np.concatenate(tables))
    return entry


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _sweep(base: Path) -> None:
    """Delete builds that died long ago."""
    for left in base.glob(".building-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
