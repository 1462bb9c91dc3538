"""Who does the work of preprocessing: processes of this machine, or the workers of a Dask cluster.

A crew answers every job. If a worker died over it (killed, out of memory, a crash in native code,
too slow), the answer says so; what that means for the clips is decided in `flows.rounds`.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from threading import Lock
from typing import Protocol

from flows.workers import Answer, Job, begin_worker, compute, limit_of

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
"""Two compute threads per worker collapse under load."""


START_SECONDS = 120
"""What a process may need to start on a busy machine, before its own time limit runs."""

TIMER_EXIT = 1
"""Exit code of `faulthandler.dump_traceback_later`."""


class Crew(Protocol):
    """Where jobs are worked. Safe to use from several threads."""

    @property
    def workers(self) -> int:
        """Jobs worked at a time."""
        ...

    def work(self, job: Job) -> Answer:
        """Work a job beside others."""
        ...

    def work_alone(self, job: Job) -> Answer:
        """Work a job whose death would harm no other job."""
        ...


class Processes:
    """Spawned processes of this machine; never forked: a fork that shares the store hangs."""

    def __init__(self, workers: int) -> None:
        """`workers`: how many; they start with the first jobs."""
        self.workers = workers
        self._spawn = multiprocessing.get_context("spawn")
        self._lock = Lock()
        self._closed = False
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.workers, mp_context=self._spawn, initializer=begin_worker)

    def work(self, job: Job) -> Answer:
        """Work a job in the pool; a broken pool is replaced."""
        if self._closed:
            return Answer(lost="its run ended before it began")
        pool = self._pool
        try:
            return pool.submit(compute, job).result()
        except BrokenProcessPool:
            with self._lock:
                # A run that is cancelled ends its workers: nobody may start others behind its back.
                if self._pool is pool and not self._closed:
                    self._pool = self._new_pool()
            return Answer(lost="a worker process ended while it was under way")

    def work_alone(self, job: Job) -> Answer:
        """Work a job in a process of its own, so that how it ends says something of this job."""
        here, there = self._spawn.Pipe(duplex=False)
        process = self._spawn.Process(target=_answer_into, args=(there, job))
        process.start()
        began = time.monotonic()
        there.close()
        limits = [limit_of(job, source) for source in job.sources]
        seconds = sum(limits)
        try:
            if not here.poll(seconds + START_SECONDS):
                return Answer(lost=f"its worker did not answer within {seconds:.0f} s")
            answer = here.recv()
        except EOFError:
            process.join()
            hung = time.monotonic() - began >= min(limits)
            return Answer(lost=f"its worker was ended by {_how(process.exitcode, seconds, hung)}")
        else:
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            process.kill()
            process.join()
            here.close()

    def close(self) -> None:
        """End the workers, busy or not."""
        with self._lock:
            self._closed = True
            pool = self._pool
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(wait=True, cancel_futures=True)


def _answer_into(there: Connection, job: Job) -> None:
    begin_worker()
    try:
        there.send(compute(job))
    except Exception as error:  # of the store: a full disk is not the clip's fault
        there.send(error)


def _how(exitcode: int | None, seconds: float, hung: bool) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        return name + (" (out of memory?)" if name == "SIGKILL" else "")
    if exitcode == TIMER_EXIT and hung:
        return f"its time limit of {seconds:.0f} s"
    return f"exit code {exitcode}; what it wrote before is in the log of this machine"


@contextmanager
def crew_of(
    workers: int, cluster: str | None, resources: Mapping[str, float] | None = None
) -> Iterator[Crew]:
    """The crew a flow asks for; its workers end with the block.

    `resources`: what a Dask worker must have for each job, `{"GPU": 1}`.

    Raises:
        FlowError: the cluster cannot be reached, or runs another version of emohead.
    """
    if cluster is not None:
        from flows.dask_crew import dask_crew

        with dask_crew(cluster, resources or {}) as on_dask:
            yield on_dask
        return
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    crew = Processes(workers)
    try:
        yield crew
    finally:
        crew.close()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
