"""Verbs that run cells, here or on other machines: run, worker, merge."""

from __future__ import annotations

import argparse
import uuid
from typing import TYPE_CHECKING, Any

from slashbench.bench.commands.console import console
from slashbench.errors import UsageError

if TYPE_CHECKING:
    from slashbench.record import CellRecord

INTERRUPTED = 130

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

selectors
  name:key=value:key=value     an entry with settings        zstd:level=19
  a,b,c  or  all               a list
  key=0..4                     a range of integers           exp-golomb:k=0..4
  key=10..1000                 decades, for real numbers     backslash:lam=10..1000
  key=2^-8..2^-4               octaves                       quantize:step=2^-8..2^-4
  key=1/3/9                    the values named              zstd:level=1/3/9
  train+transform+quantise     a recipe                      plain+prune:sparsity=0.5+quantize

exit codes: 0 all cells good, 1 some failed, 2 wrong use, 3 decoded weights differ, 130 interrupted
"""

SERVING = """\
examples
  dask scheduler --port 8786                     once, on one machine
  bench worker tcp://head:8786                   on each machine that is to run cells
  bench run --scheduler tcp://head:8786 --out /shared/results

Whoever reaches a Dask scheduler can run programs on its workers: keep it on a private network, or
use certificates (tls://); see bench/engines/OPERATORS.md.
"""


def add(verbs: Any, out: argparse.ArgumentParser) -> None:
    """Add the verbs. out: the parent that brings --out."""
    run = verbs.add_parser(
        "run",
        parents=[out],
        help="train, compress, decode, evaluate and time what is missing, then show the boards",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
    where = run.add_mutually_exclusive_group()
    where.add_argument(
        "--jobs",
        default="auto",
        metavar="N",
        help="processes of this machine; 0: this one; auto: what it has room for (default)",
    )
    where.add_argument(
        "--scheduler", metavar="URL", help="a Dask scheduler, tcp://HOST:PORT or tls://HOST:PORT"
    )
    run.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help="seconds after which a training, or a cell's coding or timing, counts as failed",
    )
    run.add_argument(
        "--retries",
        type=int,
        default=2,
        metavar="N",
        help="how often work whose process died is tried again; a cluster that is there already "
        "has its own number (default: %(default)s)",
    )
    run.add_argument("--dry-run", action="store_true", help="show what would run, run nothing")
    run.set_defaults(verb=_run)

    worker = verbs.add_parser(
        "worker",
        help="lend this machine to a Dask scheduler, for `bench run --scheduler`",
        epilog=SERVING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    worker.add_argument("scheduler", metavar="URL", help="tcp://HOST:PORT or tls://HOST:PORT")
    worker.add_argument("--jobs", default="auto", metavar="N", help="processes (default: auto)")
    worker.set_defaults(verb=_worker)

    merge = verbs.add_parser(
        "merge", parents=[out], help="copy the results of several folders or URLs into one"
    )
    merge.add_argument("sources", nargs="+", metavar="DIR", help="results to take from")
    merge.set_defaults(verb=_merge)


def _run(options: argparse.Namespace) -> int:
    from slashbench.bench import matrix, measure, progress
    from slashbench.bench.drive import Driver
    from slashbench.bench.engines import venue
    from slashbench.bench.engines.base import Run
    from slashbench.bench.engines.inline import Here
    from slashbench.bench.report import export, terminal
    from slashbench.bench.stages import Stages
    from slashbench.bench.store import Store
    from slashbench.contracts import Execution

    out = console()
    wish = venue.Wish(_processes(options.jobs), options.scheduler, options.timeout, options.retries)
    plan = matrix.plan(
        matrix.Request(
            options.suite,
            options.models,
            options.recipes,
            options.codecs,
            options.seeds,
            Execution(
                device=options.device, precision=options.precision, accumulate=options.accumulate
            ),
        )
    )
    for what, why in plan.left_out.items():
        out.print(f"left out: {what}: {why}", style="yellow", highlight=False, markup=False)
    store = Store(options.out)
    store.sweep()
    display = progress.Display(out)
    with venue.opened(wish) as place:
        run = Run(
            name=f"slashbench-{uuid.uuid4().hex[:12]}",
            store=store.where,
            on_existing=options.on_existing,
            since=measure.now(),
            machine=place.machine,
            command=measure.command_line(),
        )
        stages = Stages(store, run.on_existing, Here(display), since=run.since, machine=run.machine)
        missing = [cell for cell in plan.cells if stages.cached_cell(cell) is None]
        out.print(
            f"{len(plan.cells)} cells, {len(plan.cells) - len(missing)} already done, "
            f"{len(missing)} to run, about {progress.spell_seconds(progress.estimate_s(missing))}",
            highlight=False,
        )
        if options.dry_run:
            for cell in missing:
                out.print(str(cell), highlight=False, markup=False)
            return 0
        refused: dict[str, str] = {}
        mismatches: list[str] = []
        if missing:
            try:
                with (
                    place.engine(run, store, display, missing) as engine,
                    display.over(missing),
                ):
                    driver = Driver(stages, engine, display)
                    driver.run(missing)
                    refused, mismatches = driver.refused, driver.mismatches
            except KeyboardInterrupt:
                out.print(
                    f"\nStopped. {display.done} of {len(missing)} cells are done and kept; "
                    "the same command goes on from here."
                )
                return INTERRUPTED
    written = export.write_boards(store)
    for warning in store.warnings:
        out.print(warning, style="yellow", highlight=False, markup=False)
    terminal.show(store, out)
    out.print(f"written: {', '.join(written)}", highlight=False)
    for what, why in refused.items():
        out.print(f"not run: {what}: {why}", style="red", highlight=False, markup=False)
    if mismatches:
        out.print(f"{len(mismatches)} cells decode to other weights", style="red bold")
        return 3
    failed = sum(_failed(stages.cached_cell(cell)) for cell in plan.cells) - len(refused)
    if failed:
        out.print(
            f"{failed} cells failed; after a remedy: the same command with --on-existing failed",
            style="red",
        )
    return 1 if failed or refused else 0


def _failed(record: CellRecord | None) -> bool:
    return record is None or record.status == "failed"


def _processes(text: str) -> int | None:
    """What --jobs says; None for auto."""
    if text == "auto":
        return None
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--jobs {text}: give a number of processes, or auto") from None


def _worker(options: argparse.Namespace) -> int:
    from slashbench.bench.engines import serving

    serving.serve(options.scheduler, _processes(options.jobs))
    return 0


def _merge(options: argparse.Namespace) -> int:
    from slashbench.bench import merging
    from slashbench.bench.store import Store

    target = Store(options.out)
    for source in options.sources:
        found = merging.merge(Store(source), target)
        console().print(
            f"{source}: {found.records} records and {found.artifacts} artifacts taken, "
            f"{found.known} were there already",
            highlight=False,
        )
    return 0
