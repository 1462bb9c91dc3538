"""A full disk and a folder that may not be written: a clear error, and the last snapshot whole."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_kit import ALL, HERE, OLD, differences, everything, ingest

import store


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "emohead-test", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small disk can be mounted by root only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Leave so many bytes of a disk free."""
    state = os.statvfs(disk)
    padding = disk / "padding"
    padding.write_bytes(b"x" * max(state.f_bavail * state.f_bsize - leave, 0))
    return padding


def test_a_full_disk_is_named_and_a_rerun_with_room_equals_a_calm_run(
    small_disk: Path, tmp_path: Path
) -> None:
    cache = store.Cache.open(small_disk / "store", create=True)
    ingest(cache, OLD)
    before = everything(cache.snapshot())
    shutil.copytree(cache.location, tmp_path / "calm")
    calm = store.Cache.open(tmp_path / "calm")
    ingest(calm, ALL, 2)
    after = everything(calm.snapshot())
    refused = 0
    # The disk is full at the first write, on the way, while committing, and at the end not at all.
    for leave in (0, 120_000, 240_000):
        padding = fill(small_disk, leave)
        try:
            ingest(cache, ALL, 2)
        except store.LocationError as error:
            told = str(error)
        else:
            break
        refused += 1
        assert f"{cache.location}: the disk is full" in told
        assert "Make room" in told
        padding.unlink()
        cache = store.Cache.open(cache.location)
        assert differences(everything(cache.snapshot()), before) == []
        assert cache.validate(read_data=True).ok
    assert refused >= 2
    padding.unlink(missing_ok=True)
    ingest(cache, ALL, 2)
    assert differences(everything(cache.snapshot()), after) == []
    assert cache.validate(read_data=True).ok


READER = """
import os, sys
sys.path.insert(0, sys.argv[2])
import store
from fault_kit import OLD, SOME, ingest
assert store.Cache.open(sys.argv[1]).validate(read_data=True).ok  # imports what is imported late
if os.getuid() == 0:  # who may write anywhere; Python itself need not be readable from here on
    os.setgid(65534)
    os.setuid(65534)
cache = store.Cache.open(sys.argv[1])
report = cache.validate(read_data=True)
assert report.ok, report.summary()
try:
    ingest(cache, SOME, 2)
except store.LocationError as error:
    print(error)
else:
    print("written!")
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may pass to; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_store_behind_a_closed_folder_is_named(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    store.Cache.open(closed / "store", create=True)
    code = READER.replace("report =", "raise SystemExit('opened!')  # ")
    command = [sys.executable, "-c", code, str(closed / "store"), str(HERE)]
    if os.getuid() != 0:
        closed.chmod(0)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    closed.chmod(0o700)
    assert "LocationError" in done.stderr, done.stderr
    assert "cannot be reached (Permission denied)" in done.stderr


@pytest.mark.parametrize("what", ["folder", pytest.param("chunks", marks=pytest.mark.slow)])
def test_a_read_only_store_can_be_read_and_says_that_it_cannot_be_written(
    open_folder: Path, what: str
) -> None:
    home = open_folder
    cache = store.Cache.open(home / "store", create=True)
    ingest(cache, OLD)
    before = everything(cache.snapshot())
    folder = Path(cache.location)
    if what == "chunks":  # the lock can be taken, the store not be written
        for path in (folder, folder / ".emohead.lock"):
            path.chmod(0o777)
    modes = {path: path.stat().st_mode for path in [folder, *folder.rglob("*")]}
    if os.getuid() != 0:
        shut = folder if what == "folder" else folder / "chunks"
        shut.chmod(0o555)
    command = [sys.executable, "-c", READER, cache.location, str(HERE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    for path, mode in modes.items():
        path.chmod(mode)
    assert done.returncode == 0, done.stderr
    assert cache.location in done.stdout
    assert "cannot be written" in done.stdout
    assert differences(everything(cache.snapshot()), before) == []
