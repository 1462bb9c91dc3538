"""The folder weights lie in: what is there, putting something there, holding it against its hashes.

One folder a weight, with a `weight.json` that records the sha256 of every file when it came. The
record is what fingerprints are made of; before a weight is loaded its files are hashed again.
"""

import fnmatch
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import platformdirs

from pipeline.encoder import sha256_of
from pipeline.errors import WeightError
from pipeline.weights.registry import KNOWN, Kind, Weight
from pipeline.weights.statistics import arrays_of_pickle

RECORD = "weight.json"
VARIABLE = "EMOHEAD_WEIGHTS"
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*$")


@dataclass(frozen=True)
class Record:
    """What lies on the shelf under one name."""

    name: str
    like: str
    """Entry of the table it was held against."""
    kind: Kind
    source: str
    """The path it came from."""
    files: dict[str, str]
    """sha256 by file name, as it lies there."""
    converted: dict[str, str]
    """sha256 of what a file was made from, where it did not come as it is."""


@dataclass(frozen=True)
class Shelf:
    """A folder of weights."""

    folder: Path

    @classmethod
    def usual(cls) -> "Shelf":
        """$EMOHEAD_WEIGHTS, else the platform's cache folder."""
        told = os.environ.get(VARIABLE)
        return cls(Path(told) if told else platformdirs.user_cache_path("emohead") / "weights")

    def record(self, name: str) -> Record | None:
        """What is recorded under a name; None when there is nothing.

        Raises:
            WeightError: a record that cannot be read.
        """
        path = self.folder / name / RECORD
        if not path.is_file():
            return None
        try:
            return Record(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise WeightError(
                f"{path} cannot be read ({error}); remove the folder and run {cure(name)}"
            ) from error

    def records(self) -> Iterator[Record]:
        """Everything on the shelf, by name."""
        if self.folder.is_dir():
            for path in sorted(self.folder.iterdir()):
                record = self.record(path.name)
                if record is not None:
                    yield record

    def missing(self, name: str, kind: Kind) -> str | None:
        """Why a weight of this kind cannot be had under this name, with the cure; None: it can."""
        record = self.record(name)
        if record is None:
            entry = KNOWN.get(name) or next(e for e in KNOWN.values() if e.kind == kind)
            where = f"get it from {entry.source}, then " if name in KNOWN else ""
            return f"{name} ({entry.what}) is not in {self.folder}: {where}`{cure(name, kind)}`"
        if record.kind != kind:
            return f"{name} is a weight of kind {record.kind}, a {kind} is needed"
        gone = [file for file in record.files if not (self.folder / name / file).is_file()]
        if gone:
            return f"{name} lacks {', '.join(gone)} in {self.folder / name}: `{cure(name, kind)}`"
        return None

    def hashes(self, name: str, kind: Kind) -> dict[str, str]:
        """Recorded sha256 of a weight's files as `{name/file: sha256}`, for fingerprints.

        A converted file counts by what it was made from: the same weights are the same everywhere.

        Raises:
            WeightError: it is not there.
        """
        reason = self.missing(name, kind)
        record = self.record(name)
        if reason or record is None:
            raise WeightError(reason or f"{name} is not in {self.folder}")
        told = record.files | record.converted
        return {f"{name}/{file}": digest for file, digest in told.items()}

    def open(self, name: str, kind: Kind) -> Path:
        """Folder of a weight whose every file was just hashed and is as recorded.

        Raises:
            WeightError: it is not there, or a file has changed since it came.
        """
        return _verified(self, name, kind)

    def check(self, name: str) -> list[str]:
        """What is wrong with a weight's files now; empty: nothing."""
        record = self.record(name)
        if record is None:
            return [f"{name} is not in {self.folder}: `{cure(name)}`"]
        known = KNOWN[record.like].sha256
        wrong = []
        for file, recorded in record.files.items():
            path = self.folder / name / file
            if not path.is_file():
                wrong.append(f"{path} is gone: `{cure(name, record.kind)}`")
                continue
            found = sha256_of(path)
            expected = known.get(file, recorded)
            if found != expected:
                wrong.append(
                    f"{path} has sha256 {found}, expected {expected}: `{cure(name, record.kind)}`"
                )
        return wrong

    def add(self, name: str, path: Path, like: str | None = None, link: bool = False) -> Record:
        """Take a file or folder of weights: check, copy (or link), record.

        Args:
            name: an entry of the table, or a name of your own with `like`.
            path: the folder (or the file, where one file is all) that holds them.
            like: the entry it has the format of.
            link: link the files instead of copying them; they must then stay where they are.

        Raises:
            WeightError: unknown name, missing files, or a hash that is not the known one.
        """
        entry = _entry(name, like)
        target = self.folder / name
        fresh = self.folder / f".{name}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        files: dict[str, str] = {}
        converted: dict[str, str] = {}
        try:
            for source in _files(entry, path):
                digest = sha256_of(source)
                expected = entry.sha256.get(source.name)
                if expected is not None and digest != expected:
                    raise WeightError(
                        f"{source} has sha256 {digest}, but {entry.name} is known with {expected}; "
                        f"fetch it again from {entry.source}"
                    )
                stored = _store(source, fresh, link)
                files[stored.name] = digest
                if stored.name != source.name:
                    files[stored.name], converted[stored.name] = sha256_of(stored), digest
            record = Record(name, entry.name, entry.kind, str(path.resolve()), files, converted)
            text = json.dumps(asdict(record), indent=1)
            (fresh / RECORD).write_text(text, encoding="utf-8")
            shutil.rmtree(target, ignore_errors=True)
            fresh.rename(target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        _verified.cache_clear()
        return record


def cure(name: str, kind: Kind | None = None) -> str:
    """The command that brings a weight."""
    if name in KNOWN:
        return f"emohead weights add {name} PATH"
    likes = [entry.name for entry in KNOWN.values() if kind in (None, entry.kind)]
    return f"emohead weights add {name} PATH --like {likes[0] if kind else 'NAME'}"


@cache
def _verified(shelf: Shelf, name: str, kind: Kind) -> Path:
    shelf.hashes(name, kind)
    wrong = shelf.check(name)
    if wrong:
        raise WeightError("; ".join(wrong))
    return shelf.folder / name


def _entry(name: str, like: str | None) -> Weight:
    known = ", ".join(KNOWN)
    if not _NAME.match(name):
        raise WeightError(f"{name!r} is no name for a weight: lower case, digits and _ only")
    if like is not None and like not in KNOWN:
        raise WeightError(f"no weight {like!r} to be like; there are {known}")
    if like is None and name not in KNOWN:
        raise WeightError(
            f"no weight {name!r}; there are {known}. A weight of your own needs --like one of them"
        )
    return KNOWN[like or name]


def _files(entry: Weight, path: Path) -> list[Path]:
    """Files to take; of each group of alternatives the first that is there.

    What is needed may lie one folder deeper: a repository has its weights here, its settings there.

    Raises:
        WeightError: a file that is needed is not there.
    """
    if not path.exists():
        raise WeightError(f"{path} does not exist")
    inside = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
    deeper = [] if path.is_file() else sorted(p for p in path.glob("*/*") if p.is_file())
    taken: list[Path] = []
    for group in entry.needs:
        found = [
            p
            for place in (inside, deeper)
            for pattern in group
            for p in place
            if fnmatch.fnmatch(p.name, pattern)
        ]
        if not found:
            have = ", ".join(p.name for p in inside[:12]) or "nothing"
            raise WeightError(
                f"{entry.name} needs {' or '.join(group)}; {path} has {have} "
                f"(source: {entry.source})"
            )
        taken.append(found[0])
    taken += [p for p in inside if any(fnmatch.fnmatch(p.name, pattern) for pattern in entry.takes)]
    if any(p.suffix == ".safetensors" for p in taken):  # the same tensors twice are not needed
        taken = [p for p in taken if not p.name.startswith("pytorch_model")]
    return list(dict.fromkeys(taken))


def _store(source: Path, folder: Path, link: bool) -> Path:
    """Copy or link a file; a pickle becomes an .npz, and is never opened again."""
    target = folder / source.name
    if source.suffix == ".pkl":
        target = target.with_suffix(".npz")
        arrays: dict[str, np.ndarray] = arrays_of_pickle(source)
        np.savez(target, allow_pickle=False, **arrays)
    elif link:
        target.symlink_to(source.resolve())
    else:
        shutil.copyfile(source, target)
    return target
