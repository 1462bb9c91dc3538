"""Running GIL-free kernels on plain Python threads.

Not numba's prange: its OpenMP layer aborts a forked child, and its pool fights with PyTorch's. A
pool belongs to the process that made it (after a fork, a new one is made on first use).
"""

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def default_threads() -> int:
    """Cores this process may use, at most 16."""
    return min(len(os.sched_getaffinity(0)), 16)


def slices(n: int, parts: int) -> list[tuple[int, int]]:
    """`parts` nearly equal stretches of range(n), none of them empty unless n < parts."""
    bounds = [n * i // parts for i in range(parts + 1)]
    return [(a, b) for a, b in itertools.pairwise(bounds) if b > a]


def run_slices(work: Callable[[int, int, int], object], n: int, threads: int) -> None:
    """Call work(thread, lo, hi) over range(n), one stretch a thread; errors come through."""
    stretches = slices(n, threads)
    if len(stretches) <= 1:
        for lo, hi in stretches:
            work(0, lo, hi)
        return
    key = (os.getpid(), threads)
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(threads, thread_name_prefix="emohead-render")
    jobs = [_pools[key].submit(work, i, lo, hi) for i, (lo, hi) in enumerate(stretches)]
    for job in jobs:
        job.result()
