"""Sudden deaths: whenever a worker or the committer dies, the store holds all of an ingest or none.

The full number (300 and more) is `benchmarks/store_faults.py kills`; docs/reliability.md has it.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_kit import (
    ALL,
    OLD,
    Killer,
    differences,
    everything,
    ingest,
    order_rows,
    schemas,
    write_of,
)
from fault_kit import encoders as encoders_of
from store_kit import DATASET

import store

SEED = 20


def test_kills_at_random_moments_lose_nothing_and_a_rerun_equals_a_calm_run(
    tmp_path: Path,
) -> None:
    killer = Killer(tmp_path, SEED)
    try:
        for number in range(3):
            assert killer.kill_one(number) == [], f"kill {number} of seed {SEED}"
    finally:
        killer.nursery.close()
    assert killer.deaths.kills >= 1, killer.deaths


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sixty_kills(tmp_path: Path) -> None:
    killer = Killer(tmp_path, SEED + 1)
    try:
        wrong = {n: killer.kill_one(n) for n in range(60)}
    finally:
        killer.nursery.close()
    assert {n: what for n, what in wrong.items() if what} == {}, killer.deaths
    assert min(killer.deaths.of_committer, killer.deaths.of_worker) >= 10


def test_forks_that_come_back_in_another_order_give_the_same_store(tmp_path: Path) -> None:
    stores = []
    for turn in (1, -1):
        cache = store.Cache.open(tmp_path / f"turn{turn}", create=True)
        ingest(cache, OLD)
        _, rows = order_rows(cache.snapshot(), ALL, encoders_of(2))
        with cache.write(DATASET, schemas(), "Ingest") as session:
            for batch in session.allocate(rows, max_clips=4)[::turn]:
                fork = session.fork(batch)
                for slot in batch.slots[::turn]:
                    write = write_of(slot.clip_id, ALL[slot.clip_id], 2, fork.slots)
                    store.write_clip(fork, write)
                session.merge(fork)
        stores.append(everything(cache.snapshot()))
    assert differences(*stores) == []


HOLDER = """
import sys, time
from store.location import commit_lock
with commit_lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_writer_killed_while_it_holds_the_lock_does_not_block_the_next(
    cache: store.Cache,
) -> None:
    command = [sys.executable, "-c", HOLDER, cache.location]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert (Path(cache.location) / ".emohead.lock").exists()
    holder.send_signal(signal.SIGKILL)
    assert holder.wait(10) == -signal.SIGKILL
    start = time.monotonic()
    ingest(cache, {"a": 10})
    assert time.monotonic() - start < 60  # far below LOCK_TIMEOUT_SECONDS
    assert cache.validate(read_data=True).ok
