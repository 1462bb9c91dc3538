"""Results come as they are ready, and arguments are taken only when there is room for them."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from flows.orchestra import each
from flows.rounds import batch_sizes


def test_a_slow_one_holds_up_nobody() -> None:
    slow = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert slow.wait(20)
        return 10 * number

    taken: list[int] = []

    def numbers() -> Iterator[tuple[int]]:
        for number in range(6):
            taken.append(number)
            yield (number,)

    answers = each(SimpleNamespace(fn=work), numbers(), 2)
    first = [next(answers) for _ in range(3)]
    assert first == [(1, 10), (2, 20), (3, 30)]
    assert taken == [0, 1, 2, 3]  # backpressure: two under way, never more
    slow.set()
    assert sorted([*first, *answers]) == [(n, 10 * n) for n in range(6)]


@given(st.integers(0, 3000), st.integers(1, 64), st.integers(1, 500))
def test_batches_shrink_towards_the_end(clips: int, workers: int, most: int) -> None:
    sizes = batch_sizes(clips, workers, most)
    assert sum(sizes) == clips
    assert all(1 <= size <= most for size in sizes)
    assert sizes == sorted(sizes, reverse=True)
    # The last batch of every worker: no more than one clip each.
    assert all(size == 1 for size in sizes[-min(len(sizes), workers) :])
