"""A file is read to hash it only where it may have changed."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from pipeline import file_state as module
from pipeline.file_state import FileState, file_state

OLD = 1_600_000_000_123_456_789


def write(path: Path, data: bytes, mtime_ns: int = OLD) -> FileState:
    path.write_bytes(data)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return FileState(hashlib.sha256(data).hexdigest(), len(data), mtime_ns)


def known(path: Path, state: FileState) -> dict[tuple[str, int, int], str]:
    return {(str(path), state.size, state.mtime_ns): state.sha256}


def test_an_unchanged_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mp4"
    state = write(path, b"video")
    assert file_state(path, {}) == state
    monkeypatch.setattr(module, "sha256_of", lambda path: pytest.fail("read"))
    assert file_state(path, known(path, state)) == state


def test_size_time_or_place_changed_means_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    before = write(path, b"video")
    assert file_state(path, known(tmp_path / "b.mp4", before)) == before
    longer = write(path, b"video2")
    assert file_state(path, known(path, before)) == longer
    later = write(path, b"VIDEO", OLD + 1)
    assert file_state(path, known(path, before)) == later


def test_a_young_file_is_hashed_again_next_time(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    now = time.time_ns()
    write(path, b"video", now)
    young = file_state(path, {})
    assert young.mtime_ns == -1  # the same time and size could come with other bytes
    other = write(path, b"VIDEO", now)
    assert file_state(path, known(path, young)).sha256 == other.sha256
    write(path, b"x", now + 10**12)
    assert file_state(path, {}).mtime_ns == -1  # from the future


def test_a_file_that_changes_while_it_is_hashed_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp4"
    write(path, b"video")

    def meanwhile(path: Path) -> str:
        write(path, b"longer video", OLD + 5)
        return "0" * 64

    monkeypatch.setattr(module, "sha256_of", meanwhile)
    assert file_state(path, {}).mtime_ns == -1
