"""The verb `run`: run the missing cells of a plan, then show the boards."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from slashbench.bench.commands import run_options
from slashbench.bench.commands.parsing import out_option

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs
    from slashbench.bench.plan.matrix import Request

EXAMPLES = """\
examples
  bench run --models all --codecs all            the main job: everything that can run here
  bench run --suite smoke                        a small matrix, in a minute
  bench run --models kjv-gpt --recipes plain,backslash:lam=10..1000+quantize:step=2^-8 \\
            --codecs exp-golomb:k=0..4,huffman --seeds 0..2
  bench run --models ./my-model --eval text:corpus.txt      a checkpoint of your own, or hf:REPO
  bench run --jobs 4 --timeout 3600              four processes; a cell may take an hour
  bench run --scheduler tcp://head:8786 --out /shared/results
                                                 on a Dask cluster, over a folder all machines see
  bench run --scheduler tcp://head:8786 --out s3://bucket/results

where cells run
  --jobs auto   as many processes as this machine has cores and memory for; only this process where
                there is little to do (default)
  --jobs 0      in this process, one cell after the other; use this with a debugger
  --scheduler   on an existing Dask cluster; `bench worker` adds machines to it. Slurm, Kubernetes,
                object stores and certificates: bench/engines/OPERATORS.md

Several commands, on several machines, can share one results folder. They divide the work between
them, and take over from a command that was killed. Speeds are measured while no other cell runs on
the machine, with several processes at the end of the run.
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    run = verbs.add_parser(
        "run",
        parents=[out_option()],
        help="train, compress, decode, evaluate and time the missing cells, then show the boards",
        epilog=EXAMPLES + run_options.SELECTORS,
    )
    run.add_argument(
        "--suite", default="core", help="named matrix; see `bench list suites` (default: core)"
    )
    run.add_argument("--models", metavar="LIST", help="models (default: the suite's)")
    run.add_argument(
        "--eval",
        metavar="HOW",
        help="metric of a checkpoint of your own: text:FILE, module:function or lm-eval:TASK "
        "(default: how far its weights are from the float ones)",
    )
    run.add_argument(
        "--calibration",
        metavar="text:FILE",
        help="text for quantisers that look at data, on a checkpoint of your own",
    )
    run.add_argument("--recipes", metavar="LIST", help="recipes (default: the suite's)")
    run.add_argument("--codecs", metavar="LIST", help="codecs (default: the suite's)")
    run.add_argument("--seeds", metavar="LIST", help="seeds, such as 0..4 (default: the suite's)")
    run.add_argument(
        "--on-existing",
        choices=["missing", "failed", "always"],
        default="missing",
        help="run cells without a record (default), failed ones too, or all again",
    )
    run.add_argument(
        "--device", choices=["cpu", "cuda"], default="cpu", help="where to train (default: cpu)"
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
        help="batches per training step; their gradients are averaged (default: 1)",
    )
    run.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="processes that train one model together on one machine, each on its rows of "
        "every batch (default: 1)",
    )
    run.add_argument(
        "--sharding",
        choices=["ddp", "fsdp2"],
        default="ddp",
        help="ddp: each process holds the whole model (default); fsdp2: a shard of every parameter",
    )
    run_options.add_places(run)
    run.add_argument("--dry-run", action="store_true", help="show what would run, run nothing")
    run.set_defaults(verb=_run)


def asked(options: argparse.Namespace) -> Request:
    """Return which cells the options ask for. Raises UsageError."""
    from slashbench.bench.plan.matrix import Request
    from slashbench.contracts import Execution

    return Request(
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
        options.eval,
        options.calibration,
    )


def _run(options: argparse.Namespace) -> int:
    from slashbench.bench.commands import progress
    from slashbench.bench.commands.console import console
    from slashbench.bench.engines import session
    from slashbench.bench.plan import matrix
    from slashbench.bench.report.data import results
    from slashbench.bench.report.output import export, fitted_screen, html
    from slashbench.bench.store.store import Store

    out = console()
    request = run_options.placement(options)
    plan = matrix.plan(asked(options))
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
    if missing:
        html.prepare()
    found = results.load(store)
    written = export.refresh(found, store)
    for warning in store.warnings:
        out.print(warning, style="yellow")
    page = next(path for path in written if path.endswith(".html"))
    fitted_screen.show(found, out, page)
    return run_options.conclude(plan, work, out)
