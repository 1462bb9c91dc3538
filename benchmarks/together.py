"""Processes that begin to work at the same moment."""

import multiprocessing
import time
from collections.abc import Callable
from typing import Any


def together(
    ready: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...], count: int
) -> float:
    """Seconds from when all of `count` processes are ready to when the last has done its work.

    Args:
        ready: called in each process; loads what the work takes, and returns the work.
        arguments: of `ready`.
        count: processes.
    """
    context = multiprocessing.get_context("spawn")
    gate, done = context.Barrier(count + 1), context.Queue()
    running = [
        context.Process(target=_process, args=(ready, arguments, gate, done)) for _ in range(count)
    ]
    for process in running:
        process.start()
    gate.wait()
    began = time.monotonic()
    last = max(done.get() for _ in running)
    for process in running:
        process.join()
    return last - began


def _process(
    ready: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...], gate: Any, done: Any
) -> None:
    work = ready(*arguments)
    gate.wait()
    work()
    done.put(time.monotonic())
