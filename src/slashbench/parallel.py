"""Work shared out among cores, in threads: kernels run without the interpreter's lock."""

from __future__ import annotations

import functools
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

#: Threads that `decode` may use for one tensor.
threads: ContextVar[int] = ContextVar("threads", default=1)


def cores() -> list[int]:
    """Return the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def over_ranges(work: Callable[[int, int], None], count: int) -> None:
    """Call work(first, last) for ranges that cover 0 to count, one for each thread."""
    n = min(threads.get(), count)
    if n <= 1:
        work(0, count)
        return
    edges = [count * i // n for i in range(n + 1)]
    others = [_pool(n - 1).submit(work, edges[i], edges[i + 1]) for i in range(1, n)]
    try:
        work(edges[0], edges[1])
    finally:  # nobody writes to the caller's arrays once this returns
        errors = [other.exception() for other in others]
    for error in errors:
        if error is not None:
            raise error


def in_order(
    work: Callable[[T], R], items: Iterable[T], together: int = 1
) -> Iterator[tuple[T, R]]:
    """Yield (item, work(item)) in the order of the items, with few of them in memory at once.

    From Python 3.14 on, `Executor.map(buffersize=)` does this, but for the caller's own share.

    Parameters
    ----------
    work
        Called on all cores, in threads; the caller's thread does a share.
    items
        Taken from as they are needed: one for each core, and one to go on with.
    together
        How many a core takes at a time. Fewer turns cost less, more items take more memory.
    """
    n = len(cores())
    if n == 1:
        for item in items:
            yield item, work(item)
        return
    waiting: deque[tuple[list[T], Future[list[tuple[T, R]]]]] = deque()
    left = iter(items)

    def done(group: list[T]) -> list[tuple[T, R]]:
        return [(item, work(item)) for item in group]

    def help_out() -> bool:
        """Do in this thread what no other has begun; return False if there is nothing."""
        for i, (group, future) in enumerate(waiting):
            if future.cancel():
                mine: Future[list[tuple[T, R]]] = Future()
                waiting[i] = group, mine
                mine.set_result(done(group))
                return True
        return False

    with ThreadPoolExecutor(n - 1, thread_name_prefix="slashbench") as pool:
        try:
            while True:
                while len(waiting) <= n and (group := list(itertools.islice(left, together))):
                    waiting.append((group, pool.submit(done, group)))
                if not waiting:
                    return
                if waiting[0][1].done() or not help_out():
                    yield from waiting.popleft()[1].result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def each(work: Callable[[T], None], items: Sequence[T], count: int) -> None:
    """Call work(item) for every item, on `count` threads. The first error ends it."""
    if count <= 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(count, thread_name_prefix="slashbench") as pool:
        try:
            for done in as_completed([pool.submit(work, item) for item in items]):
                done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@functools.cache
def _pool(size: int) -> ThreadPoolExecutor:
    """Threads that stay: starting them takes as long as decoding a small tensor."""
    return ThreadPoolExecutor(size, thread_name_prefix="slashbench")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a fork has none of its parent's threads
