"""The verb `run`: fill what is missing of a plan, then show the boards."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from slashbench.bench.commands import run_options
from slashbench.bench.commands.parsing import out_option

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs

EXAMPLES = """\
examples
  bench run --models all --codecs all            the main job: everything that can run here
  bench run --suite smoke                        the same in a minute
  bench run --models kjv-gpt --recipes plain,backslash:lam=10..1000+quantize:step=2^-8 \\
            --codecs exp-golomb:k=0..4,huffman --seeds 0..2
  bench run --jobs 4 --timeout 3600              four processes; a cell may take an hour
  bench run --scheduler tcp://head:8786 --out /shared/results
                                                 on a Dask cluster, over a folder all machines see
  bench run --scheduler tcp://head:8786 --out s3://bucket/results

where cells run
  --jobs auto   as many processes of this machine as it has cores and memory for; none beside this
                one where there is little to do (default)
  --jobs 0      in this process, one after the other: for a debugger
  --scheduler   on a Dask cluster that is there already; `bench worker` adds machines to it.
                bench/engines/OPERATORS.md has Slurm, Kubernetes, object stores and certificates

Several commands may work on one results folder at once, from several machines: none does what
another is at, and one goes on where another was killed. Speeds are measured when nothing else of
ours runs on the machine, with several processes at the end.
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    run = verbs.add_parser(
        "run",
        parents=[out_option()],
        help="train, compress, decode, evaluate and time what is missing, then show the boards",
        epilog=EXAMPLES + run_options.SELECTORS,
    )
    run.add_argument("--suite", default="core", help="named matrix (default: core; also smoke)")
    run.add_argument("--models", metavar="LIST", help="models (default: the suite's)")
    run.add_argument("--recipes", metavar="LIST", help="recipes (default: the suite's)")
    run.add_argument("--codecs", metavar="LIST", help="codecs (default: the suite's)")
    run.add_argument("--seeds", metavar="LIST", help="seeds, such as 0..4 (default: the suite's)")
    run.add_argument(
        "--on-existing",
        choices=["missing", "failed", "always"],
        default="missing",
        help="run only what has no record (default), what failed as well, or everything again",
    )
    run.add_argument(
        "--device", choices=["cpu", "cuda"], default="cpu", help="train there (default: cpu)"
    )
    run.add_argument(
        "--precision",
        choices=["fp32", "bf16"],
        default="fp32",
        help="bf16: train under autocast, weights in float32 (default: fp32)",
    )
    run.add_argument(
        "--accumulate",
        type=int,
        default=1,
        metavar="N",
        help="batches whose mean gradient makes one training step (default: 1)",
    )
    run.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="of one machine that train a model together, each on its rows of every batch "
        "(default: 1)",
    )
    run.add_argument(
        "--sharding",
        choices=["ddp", "fsdp2"],
        default="ddp",
        help="ddp: each of them has the whole model (default); fsdp2: a part of every parameter",
    )
    run_options.add_places(run)
    run.add_argument("--dry-run", action="store_true", help="show what would run, run nothing")
    run.set_defaults(verb=_run)


def _run(options: argparse.Namespace) -> int:
    from slashbench.bench.commands import progress
    from slashbench.bench.commands.console import console
    from slashbench.bench.engines import session
    from slashbench.bench.plan import matrix
    from slashbench.bench.report.data import results
    from slashbench.bench.report.output import export, first_screen, html
    from slashbench.bench.store.store import Store
    from slashbench.contracts import Execution

    out = console()
    request = run_options.placement(options)
    plan = matrix.plan(
        matrix.Request(
            options.suite,
            options.models,
            options.recipes,
            options.codecs,
            options.seeds,
            Execution(
                device=options.device,
                precision=options.precision,
                accumulate=options.accumulate,
                processes=options.processes,
                sharding=options.sharding,
            ),
        )
    )
    store = Store(options.out)
    display = progress.Display(out)
    with session.opened(request, store, options.on_existing, display) as work:
        missing = run_options.announce(plan, work.stages, out)
        if options.dry_run:
            return run_options.enumerate_cells(missing, out)
        try:
            with display.over(missing), work.engaged(missing) as driver:
                driver.run(missing)
        except KeyboardInterrupt:
            return run_options.stopped(display, out)
    html.prepare()
    found = results.load(store)
    written = export.write_boards(found, store)
    for warning in store.warnings:
        out.print(warning, style="yellow")
    page = next(path for path in written if path.endswith(".html"))
    first_screen.show(found, out, page)
    return run_options.conclude(plan, work, out)
