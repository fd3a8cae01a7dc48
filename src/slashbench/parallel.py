"""On how many threads one tensor is decoded. Kernels run without the interpreter's lock."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

#: Threads that `decode` may use for one tensor.
threads: ContextVar[int] = ContextVar("threads", default=1)


def cores() -> list[int]:
    """The cores that this process may run on."""
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


@functools.cache
def _pool(size: int) -> ThreadPoolExecutor:
    """Threads that stay: starting them takes as long as decoding a small tensor."""
    return ThreadPoolExecutor(size, thread_name_prefix="slashbench")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a fork has none of its parent's threads
