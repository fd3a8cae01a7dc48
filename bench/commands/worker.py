"""The verb `worker`: lend this machine to a Dask scheduler."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from slashbench.bench.commands import run_options

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs

SERVING = """\
examples
  dask scheduler --port 8786                     once, on one machine
  bench worker tcp://head:8786                   on each machine that is to run cells
  bench run --scheduler tcp://head:8786 --out /shared/results

Anyone who can reach a Dask scheduler can run programs on its workers. Keep it on a private network
or use certificates (tls://); see bench/engines/OPERATORS.md.
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    worker = verbs.add_parser(
        "worker",
        help="lend this machine to a Dask scheduler, for `bench run --scheduler`",
        epilog=SERVING,
    )
    worker.add_argument("scheduler", metavar="URL", help="tcp://HOST:PORT or tls://HOST:PORT")
    worker.add_argument(
        "--jobs", default="auto", metavar="N", help="processes; auto: one for each core (default)"
    )
    worker.set_defaults(verb=_worker)


def _worker(options: argparse.Namespace) -> int:
    from slashbench.bench.engines import dask_serve

    dask_serve.serve(options.scheduler, run_options.processes(options.jobs))
    return 0
