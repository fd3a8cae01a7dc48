"""Settings of Dask for workers of one machine: one job each, a share of cores, memory, GPUs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import dask.config
from dask.system import CPU_COUNT
from distributed.security import Security
from distributed.system import MEMORY_LIMIT

from slashbench.bench.machine.fresh_process import SAFE_PATH, restore
from slashbench.contracts import Needs
from slashbench.errors import UsageError

_ENVIRONMENT = "distributed.nanny.pre-spawn-environ"

_ADDRESS = re.compile(r"(tcp|tls)://(\[[^][]+\]|[^][/:]+):\d+")

_TLS = "DASK_DISTRIBUTED__COMM__TLS__"

PRELOAD = "slashbench.bench.engines.dask_worker"

#: What Dask's own defaults get wrong for us, for scheduler and workers started by us.
SETTINGS = {
    "distributed.worker.daemon": False,  # a decoder is a process of its own, child of the worker
    "distributed.worker.profile.enabled": False,  # samples the stack, also of what is timed
    "distributed.worker.memory.target": False,  # nothing of ours can be spilled
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.worker-saturation": 1.0,  # a job waits where any worker can take it
    "distributed.scheduler.worker-ttl": None,  # one that says nothing for long is busy, not dead
    # glibc would give memory back at every turn: trainings spent a third of their time on page
    # faults, and what is timed in a worker was slower than elsewhere
    f"{_ENVIRONMENT}.MALLOC_TRIM_THRESHOLD_": None,
    # each process of Dask's woke up 50 times a second to see that it does, and two of them took a
    # twentieth of what is trained or timed on two cores
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.low-level-log-length": 1000,
}


def affordable(needs: list[Needs]) -> int:
    """Return how many workers this machine has cores, memory and GPUs for."""
    cpus = max(need.cpus for need in needs)
    memory = max(need.memory_bytes for need in needs)
    most = min(CPU_COUNT // cpus, MEMORY_LIMIT // memory)
    gpus = max(need.gpus for need in needs)
    if gpus:
        most = min(most, _gpus() // gpus)
    return int(max(most, 1))


def workers(count: int) -> list[dict[str, Any]]:
    """Return the options of `count` Nannies that share this machine; GPUs as evenly as they go."""
    gpus = _gpus()
    return [
        _options(count, range(gpus * n // count, gpus * (n + 1) // count)) for n in range(count)
    ]


@contextlib.contextmanager
def settings(count: int) -> Iterator[None]:
    """Configure Dask for `count` workers while the context lasts.

    Its Nannies write what they start workers with into the environment of this process: it is as
    before when the context ends.
    """
    threads = str(threads_each(count))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {name: os.environ.get(name, threads) for name in names}
    environment |= SAFE_PATH
    before = {name: os.environ.get(name) for name in environment}
    with dask.config.set(
        SETTINGS | {f"{_ENVIRONMENT}.{name}": value for name, value in environment.items()}
    ):
        try:
            yield
        finally:
            restore(before)


def check_address(address: str, role: Literal["client", "worker"]) -> None:
    """Raises UsageError for what can't be a scheduler's address, and TLS without certificates."""
    if not _ADDRESS.fullmatch(address):
        raise UsageError(
            f"{address!r} is no address of a Dask scheduler; give tcp://HOST:PORT (8786, unless it "
            "was started with another), or tls://HOST:PORT where it wants certificates"
        )
    if address.startswith("tls://"):
        try:
            usable = Security().get_connection_args(role)["ssl_context"] is not None
            why = "Dask's configuration does not name all of them"
        except (OSError, ValueError) as error:  # no such file, or no certificate in it
            usable, why = False, f"those of Dask's configuration can't be used ({error})"
        if not usable:
            own = role.upper()
            names = ", ".join(_TLS + name for name in ("CA_FILE", f"{own}__CERT", f"{own}__KEY"))
            raise UsageError(
                f"{address} wants certificates, and {why}: set {names} to their files, as in "
                "bench/engines/OPERATORS.md, Security"
            )


def unanswered(address: str, error: Exception) -> UsageError:
    """Return the error for an address where no scheduler answers."""
    return UsageError(
        f"no Dask scheduler answers at {address}: {error}; start one with `dask scheduler`, or "
        "give tls://HOST:PORT where it wants certificates"
    )


def threads_each(count: int) -> int:
    """Return the number of torch's threads in each of `count` workers."""
    return max(CPU_COUNT // count, 1)


def _options(count: int, gpus: Sequence[int]) -> dict[str, Any]:
    resources: dict[str, float] = {
        "CPU": threads_each(count),
        "MEMORY": MEMORY_LIMIT // count,
        "GPU": len(gpus),
    }
    visible = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))} if _gpus() else {}
    return {
        "nthreads": 1,
        "memory_limit": MEMORY_LIMIT // count,
        "resources": resources,
        "env": visible,
        "preload": [PRELOAD],
        "dashboard": False,
    }


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
