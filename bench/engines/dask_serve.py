"""Lend cores, memory and GPUs of this machine to a Dask scheduler elsewhere: `bench worker`."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from dask.system import CPU_COUNT
from distributed import Nanny

from slashbench.bench.engines import dask_settings
from slashbench.errors import UsageError


def serve(scheduler: str, count: int | None) -> None:
    """Run `count` workers until the scheduler ends, or a signal comes; None: one for each core.

    Raises UsageError where nothing answers at the address, and for a count under 1.
    """
    dask_settings.check_address(scheduler, "worker")
    number = CPU_COUNT if count is None else count
    if number < 1:
        raise UsageError(f"--jobs {number}: give a number of processes, 1 or more, or auto")
    with dask_settings.settings(number):
        try:
            asyncio.run(_serve(scheduler, number))
        except (OSError, ValueError) as error:
            raise dask_settings.unanswered(scheduler, error) from error
        except RuntimeError as error:  # Dask's, of a worker that could not start
            if isinstance(error.__cause__, OSError):
                raise dask_settings.unanswered(scheduler, error.__cause__) from error
            raise


async def _serve(scheduler: str, count: int) -> None:
    nannies = [Nanny(scheduler, **options) for options in dask_settings.workers(count)]
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        started: asyncio.Future[Any] = asyncio.gather(*nannies)
        await asyncio.wait([started, stopped], return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            started.result()
            ended = [asyncio.ensure_future(nanny.finished()) for nanny in nannies]
            await asyncio.wait([*ended, stopped], return_when=asyncio.FIRST_COMPLETED)
        else:
            started.cancel()
            await asyncio.gather(started, return_exceptions=True)
    finally:
        await asyncio.gather(*(nanny.close(timeout=2) for nanny in nannies))
