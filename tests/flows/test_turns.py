"""Two runs on one store at once: one waits, or is refused with the reason."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows import preprocess as module
from flows.config import PreprocessConfig
from flows.errors import StoreBusy
from flows.orchestra import call
from flows.preprocess import preprocess
from flows.turns import turn
from flows.workers import Answer, ClipRecord, Job
from store import Cache, ClipWrite, write_clip


def test_a_flow_in_a_flow_has_its_turn_and_another_run_is_refused(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    refused: list[str] = []

    def another() -> None:
        try:
            with turn(store, 0.3):
                refused.append("")
        except StoreBusy as error:
            refused.append(str(error))

    with turn(store, 0), turn(store, 0), turn(str(tmp_path / "other"), 0):
        thread = threading.Thread(target=another)
        thread.start()
        thread.join()
        assert f"process {os.getpid()} (since " in refused[0]
        assert "did not end within 0.3 s" in refused[0]
    another()
    assert refused[1:] == [""]


def _hold(store: str, ready: Any) -> None:
    with turn(store, 0):
        ready.set()
        time.sleep(60)


def test_a_run_that_was_killed_holds_up_nobody(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=_hold, args=(store, ready))
    process.start()
    assert ready.wait(60)
    with pytest.raises(StoreBusy, match=f"process {process.pid}"), turn(store, 0.1):
        pass
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with turn(store, 5):
        pass


class Slow:
    """A crew that computes nothing, slowly."""

    workers = 2

    def __init__(self) -> None:
        self.clips: list[str] = []

    def work(self, job: Job) -> Answer:
        time.sleep(0.2)
        records = []
        for source in job.sources:
            forms = {n: job.fork.features[n] for n in job.fork.slots[source.clip_id].cells}
            arrays = {n: np.zeros((10, *form.shape), form.dtype) for n, form in forms.items()}
            write_clip(job.fork, ClipWrite(source.clip_id, 10, arrays))
            self.clips.append(source.clip_id)
            records.append(
                ClipRecord(source.clip_id, source.path.name, 10, tuple(arrays), {}, {}, {})
            )
        return Answer(job.fork, records)

    work_alone = work


def test_the_second_of_two_runs_finds_nothing_left_to_do(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = Slow()

    @contextmanager
    def crew_of(*_: Any) -> Iterator[Slow]:
        yield crew

    monkeypatch.setattr(module, "crew_of", crew_of)
    config = PreprocessConfig.model_validate(
        {
            "data": clips,
            "store": str(clips.parent / "store"),
            "size": 128,
            "features": ("face/mar",),
        }
    )
    summaries: list[dict[str, Any]] = []
    runs = [
        threading.Thread(target=lambda: summaries.append(call(preprocess, config)))
        for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    first, second = summaries
    wanted = sorted(source.name for source in clips.glob("*.mp4"))
    assert first["computed"] == first["planned"] > 0
    assert second["computed"] == second["planned"] == 0
    assert len(crew.clips) == len(set(crew.clips)) >= len(wanted)
    cache = Cache.open(config.store)
    assert cache.validate(read_data=True).ok
    assert len([e for e in cache.log() if e.message.startswith("preprocess")]) == 1
