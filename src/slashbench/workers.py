"""Work shared out among the cores, so that no more of it is in memory than is being done."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from slashbench import parallel

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    work: Callable[[T], R], items: Iterable[T], together: int = 1
) -> Iterator[tuple[T, R]]:
    """(item, work(item)) in the order of the items; some in hand for each core, some to go on.

    together: how many a core takes at a time. Fewer turns cost less, more items take more memory.
    """
    n = len(parallel.cores())
    waiting: deque[tuple[list[T], Future[list[tuple[T, R]]]]] = deque()
    left = iter(items)

    def done(group: list[T]) -> list[tuple[T, R]]:
        return [(item, work(item)) for item in group]

    def help_out() -> bool:
        """Do here what no other thread has begun with; False if there is no such thing."""
        for i, (group, future) in enumerate(waiting):
            if future.cancel():
                mine: Future[list[tuple[T, R]]] = Future()
                waiting[i] = group, mine
                mine.set_result(done(group))
                return True
        return False

    with ThreadPoolExecutor(max(1, n - 1), thread_name_prefix="slashbench") as pool:
        try:
            while True:
                while len(waiting) <= n and (group := list(itertools.islice(left, together))):
                    waiting.append((group, pool.submit(done, group)))
                if not waiting:
                    return
                if waiting[0][1].done() or n == 1 or not help_out():
                    yield from waiting.popleft()[1].result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def each(work: Callable[[T], None], items: Sequence[T], threads: int) -> None:
    """Call work(item) for every item, on so many threads. The first error ends it."""
    left = iter(items)
    lock = threading.Lock()
    errors: list[BaseException] = []

    def pull() -> None:
        while not errors:
            with lock:
                item = next(left, left)
            if item is left:
                return
            try:
                work(item)  # type: ignore[arg-type]
            except BaseException as error:
                errors.append(error)

    others = [threading.Thread(target=pull, daemon=True) for _ in range(threads - 1)]
    for other in others:
        other.start()
    pull()
    for other in others:
        other.join()
    if errors:
        raise errors[0]
