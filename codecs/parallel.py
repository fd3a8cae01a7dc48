"""On how many threads one tensor is decoded. Kernels run without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

#: Threads that `decode` may use for one tensor.
threads: ContextVar[int] = ContextVar("threads", default=1)


def over_ranges(work: Callable[[int, int], None], count: int) -> None:
    """Call work(first, last) for ranges that cover 0 to count, one for each thread."""
    n = min(threads.get(), count)
    if n <= 1:
        work(0, count)
        return
    edges = [count * i // n for i in range(n + 1)]
    with ThreadPoolExecutor(n) as pool:
        for _ in pool.map(work, edges[:-1], edges[1:]):
            pass
