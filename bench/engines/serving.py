"""`bench worker`: this machine's cores, memory and GPUs for a Dask scheduler that is elsewhere."""

from __future__ import annotations

import asyncio
import signal

from dask.system import CPU_COUNT
from distributed import Nanny

from slashbench.bench.engines import hosting


def serve(scheduler: str, count: int | None) -> None:
    """Run `count` workers until the scheduler ends, or a signal comes; None: one for each core."""
    number = CPU_COUNT if count is None else max(count, 1)
    with hosting.settings(number):
        asyncio.run(_serve(scheduler, number))


async def _serve(scheduler: str, count: int) -> None:
    nannies = [Nanny(scheduler, **options) for options in hosting.workers(count)]
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await asyncio.gather(*nannies)
        waits = [*(nanny.finished() for nanny in nannies), stop.wait()]
        await asyncio.wait(map(asyncio.ensure_future, waits), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await asyncio.gather(*(nanny.close(timeout=2) for nanny in nannies))
