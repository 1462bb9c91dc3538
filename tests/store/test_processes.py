"""Several processes and sudden deaths: nothing that was committed is lost, nothing half is seen."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from store_kit import DATASET, assert_clip, encoder_keys, ingest, make_clip

import store

COMMITTER = Path(__file__).parent / "committer.py"
FEATURES = ["face/mar", "text/words"]


def start(cache: store.Cache, name: str, count: int, gate: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(COMMITTER), cache.location, name, str(count), str(gate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def storm(cache: store.Cache, gate: Path, processes: int, commits: int) -> None:
    running = [start(cache, "abcdefgh"[i], commits, gate) for i in range(processes)]
    gate.touch()
    said = [name for process in running for name in process.communicate(timeout=240)[0].split()]
    assert [process.returncode for process in running] == [0] * processes
    assert len(said) == processes * commits
    snapshot = cache.snapshot()
    assert sorted(snapshot.clips(DATASET).index) == sorted(said)
    for name in said:
        assert_clip(snapshot, make_clip(name, 20 + int(name[1:]), 0, FEATURES))
    assert cache.validate(read_data=True).problems == []


def test_two_processes_committing_at_once_keep_every_commit(
    cache: store.Cache, tmp_path: Path
) -> None:
    storm(cache, tmp_path / "go", processes=2, commits=4)


@pytest.mark.slow
def test_four_processes_keep_eighty_of_eighty_commits(cache: store.Cache, tmp_path: Path) -> None:
    storm(cache, tmp_path / "go", processes=4, commits=20)


WRITER = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
import store
from store_kit import ingest, make_clip
import store_kit
cache = store.Cache.open(sys.argv[1])
left = int(sys.argv[3])
write = store.fork.write_slot
def dying(*arguments):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return write(*arguments)
store.fork.write_slot = dying
ingest(cache, {"a": 30, "b": 140, "c": 20})
"""


@pytest.mark.parametrize("after", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_a_killed_writer_leaves_the_last_snapshot_and_a_rerun_completes_it(
    cache: store.Cache, tmp_path: Path, after: int
) -> None:
    ingest(cache, {"before": 10})
    snapshot = cache.snapshot()
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", WRITER, cache.location, here, str(after)]
    assert subprocess.run(command, timeout=120).returncode == -signal.SIGKILL
    assert cache.snapshot().id == snapshot.id
    assert cache.validate(read_data=True).problems == []
    clips = {"before": 10, "a": 30, "b": 140, "c": 20}
    assert len(ingest(cache, clips).cells) == 15  # all that was lost, nothing else
    unharmed = store.Cache.open(tmp_path / "unharmed", create=True)
    ingest(unharmed, {"before": 10})
    ingest(unharmed, clips)
    one, two = cache.snapshot(), unharmed.snapshot()
    assert one.clips(DATASET).equals(two.clips(DATASET))
    assert one.cells(DATASET).equals(two.cells(DATASET))
    for name, frames in clips.items():
        assert_clip(one, make_clip(name, frames))
        for feature in encoder_keys():
            stored = one.read(DATASET, feature, name)
            assert stored.tobytes() == two.read(DATASET, feature, name).tobytes()


def test_two_processes_may_make_the_same_store(tmp_path: Path) -> None:
    code = "import store, sys; print(store.Cache.open(sys.argv[1], create=True).snapshot().id)"
    command = [sys.executable, "-c", code, str(tmp_path / "new")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    ids = {process.communicate(timeout=120)[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(ids) == 1


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_read_only_store_can_be_read_and_says_why_it_cannot_be_written(
    cache: store.Cache,
) -> None:
    ingest(cache, {"a": 10})
    folder = Path(cache.location)
    folder.chmod(0o500)
    try:
        assert_clip(store.Cache.open(folder).snapshot(), make_clip("a", 10))
        with pytest.raises(store.LocationError, match="cannot be written"):
            ingest(cache, {"a": 10, "b": 10})
    finally:
        folder.chmod(0o700)
