"""Timing of operations: samples of wall and CPU time, taken alone on this machine."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence

from slashbench.bench.machine.locks import alone
from slashbench.record import Samples

CONTENDED = 1.1  # wall over CPU time above which something else ran on the core


#: Standard error of a median time, relative to it, at which it is known well enough.
WANTED_ERROR = 0.03
#: Seconds of timing after which it is not measured any longer, well known or not.
BUDGET_S = 0.25
LEAST_SAMPLES = 3


def time_alone(
    operation: Callable[[], object],
    *,
    wanted_error: float = WANTED_ERROR,
    budget_s: float | None = None,
) -> Samples:
    """Time `operation` after one warm-up, while no other slashbench on this machine is timing.

    Takes LEAST_SAMPLES samples, then more until the relative standard error of their median is at
    most `wanted_error` or `budget_s` seconds are spent, BUDGET_S where none is given.
    """
    budget_s = BUDGET_S if budget_s is None else budget_s
    with alone():
        operation()
        wall_ns: list[int] = []
        cpu_ns: list[int] = []
        while len(wall_ns) < LEAST_SAMPLES or (
            sum(wall_ns) < budget_s * 1e9 and relative_error(wall_ns) > wanted_error
        ):
            wall, cpu = time.perf_counter_ns(), time.process_time_ns()
            operation()
            cpu_ns.append(time.process_time_ns() - cpu)
            wall_ns.append(time.perf_counter_ns() - wall)
    return Samples(wall_ns=wall_ns, cpu_ns=cpu_ns, warmup=1)


def relative_error(samples: Sequence[int]) -> float:
    """Return the standard error of the median, relative to it.

    The deviation is 1.4826 times the median absolute deviation, so that one slow sample does not
    count for more than it says; the median's error is sqrt(pi / 2) times that of a mean.
    """
    middle = statistics.median(samples)
    deviation = 1.4826 * statistics.median(abs(sample - middle) for sample in samples)
    return math.sqrt(math.pi / 2) * deviation / math.sqrt(len(samples)) / max(middle, 1)


def contended(samples: Samples) -> bool:
    """Return whether the median sample waited for a core: wall time over 1.1 x CPU time."""
    ratios = sorted(w / max(c, 1) for w, c in zip(samples.wall_ns, samples.cpu_ns, strict=True))
    return ratios[len(ratios) // 2] > CONTENDED
