"""The way back of a damaged local store: `main` on its newest intact snapshot."""

import json
from pathlib import Path

import icechunk

from store.errors import CorruptionError, StoreError
from store.location import commit_lock, is_local, normalise, storage_of
from store.read import Snapshot
from store.seals import REF, damages, line, replace_file
from store.validate import Report, read_tables


def fall_back(location: str | Path) -> str:
    """Point `main` of a damaged local store at its newest intact snapshot, and return that.

    Intact: icechunk's files are what was committed, and clip table, cells and fits can be read.
    Damaged frames do not count, a plan repairs them (`Report.damaged`). Does nothing if the newest
    snapshot is intact. Raises CorruptionError if none is, StoreError on object storage.
    """
    where = normalise(location)
    if not is_local(where):
        raise StoreError(f"{where} is on object storage, which keeps its objects: nothing to do")
    with commit_lock(where):
        for sealed in line(Path(where)):
            if damages(where, sealed.snapshot_id):
                continue
            _point_main(where, sealed.snapshot_id)  # a repository without it does not even open
            if _readable(where, sealed.snapshot_id):
                return sealed.snapshot_id
    raise CorruptionError(
        f"{where}: none of its snapshots is intact: bring its files back from a copy, or make it "
        "again in an empty folder"
    )


def _readable(location: str, snapshot_id: str) -> bool:
    snapshot = Snapshot(location, snapshot_id)
    report = Report(snapshot_id, read_data=True)
    try:
        for dataset in snapshot.datasets():
            read_tables(snapshot, dataset, report)
    except Exception:  # damaged metadata fail in many ways
        return False
    return report.ok


def _point_main(location: str, snapshot_id: str) -> None:
    file = Path(location) / REF
    if file.parent.exists():
        replace_file(file, json.dumps({"snapshot": snapshot_id}).encode())
        return
    repository = icechunk.Repository.open(storage_of(location))
    if repository.lookup_branch("main") != snapshot_id:
        repository.reset_branch("main", snapshot_id)
