"""Processes to be killed: a parent that has imported everything and forks an ingest on order.

Usage: fault_nursery.py. Reads one JSON order a line on stdin ({"location", "clips", "version",
"workers"}), answers on stdout with `pids <committer> <worker>...`, the stages that the committer
reaches, and `over <signal that ended it, or 0>...` when all of them are gone; the next line on
stdin buries them. The parent opens no store, so forking is safe (it
is what a forkserver does); each child is killed at most once and never by this program.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from fault_kit import encoders, order_rows, schemas, write_of
from store_kit import DATASET

import store

BATCH = 4


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def worker(connection: Connection) -> None:
    """Write the batches that come, and send their forks back, until nobody is left to ask."""
    while True:
        try:
            fork, clips, version = connection.recv()
        except EOFError:
            return
        for clip_id in fork.slots:
            store.write_clip(fork, write_of(clip_id, clips[clip_id], version, fork.slots))
        connection.send(fork)


def committer(order: dict[str, Any], connections: list[Connection]) -> None:
    """One ingest: plan, allocate, hand batches to the workers, merge, commit."""
    cache = store.Cache.open(order["location"])
    say("stage opened")
    clips, version = order["clips"], order["version"]
    plan, rows = order_rows(cache.snapshot(), clips, encoders(version))
    say("stage planned")
    with cache.write(DATASET, schemas(), "Ingest", {"plan": plan.hash}) as session:
        batches = session.allocate(rows, max_clips=BATCH)
        say("stage allocated")
        free, busy = list(connections), []
        while batches or busy:
            while batches and free:
                connection = free.pop()
                connection.send((session.fork(batches.pop(0)), clips, version))
                busy.append(connection)
            for ready in wait(busy):
                assert isinstance(ready, Connection)
                session.merge(ready.recv())
                busy.remove(ready)
                free.append(ready)
                say("stage merging")
        say("stage committing")
    say("stage committed")


def forked(work: Callable[[], None]) -> int:
    """Run in a child; a lost partner is an ordinary failure there, told by the exit status."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def run(order: dict[str, Any]) -> None:
    pipes = [Pipe() for _ in range(order["workers"])]
    ends = [end for pair in pipes for end in pair]

    def only(mine: list[Connection]) -> list[Connection]:
        for end in ends:
            if end not in mine:
                end.close()  # or nobody would see a partner's death
        return mine

    workers = [forked(lambda end=theirs: worker(only([end])[0])) for _, theirs in pipes]
    first = forked(lambda: committer(order, only([ours for ours, _ in pipes])))
    for end in ends:
        end.close()
    say("pids", first, *workers)
    signals = []
    for pid in (first, *workers):
        how = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        killed = how is not None and how.si_code == os.CLD_KILLED
        signals.append(how.si_status if killed and how is not None else 0)
    say("over", *signals)
    sys.stdin.readline()  # until it is read, nobody's pid can become another's
    for pid in (first, *workers):
        os.waitpid(pid, 0)


if __name__ == "__main__":
    say("ready")
    for line in sys.stdin:
        run(json.loads(line))
