"""Timing of operations: samples of wall and CPU time, taken alone on this machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from slashbench.bench.machine.locks import alone
from slashbench.record import Samples

CONTENDED = 1.1  # wall over CPU time above which something else ran on the core


def time_alone(
    operation: Callable[[], object], *, least: int = 3, most: int = 7, budget_s: float = 1.0
) -> Samples:
    """Time `operation` after one warm-up, while no other slashbench on this machine is timing.

    Takes at least `least` samples, then more up to `most` while they fit in `budget_s` seconds.
    """
    with alone():
        operation()
        wall_ns: list[int] = []
        cpu_ns: list[int] = []
        while len(wall_ns) < least or (len(wall_ns) < most and sum(wall_ns) < budget_s * 1e9):
            wall, cpu = time.perf_counter_ns(), time.process_time_ns()
            operation()
            cpu_ns.append(time.process_time_ns() - cpu)
            wall_ns.append(time.perf_counter_ns() - wall)
    return Samples(wall_ns=wall_ns, cpu_ns=cpu_ns, warmup=1)


def contended(samples: Samples) -> bool:
    """Whether the median sample waited for a core: wall time over 1.1 x CPU time."""
    ratios = sorted(w / max(c, 1) for w, c in zip(samples.wall_ns, samples.cpu_ns, strict=True))
    return ratios[len(ratios) // 2] > CONTENDED


def peak_rss_bytes() -> int | None:
    """Peak resident memory of this process, where the system tells."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
