"""The verb `history`: a board's figures over releases, and a gate against the last one."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slashbench.bench.commands.parsing import positive
from slashbench.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from slashbench.bench.commands.parsing import Verbs
    from slashbench.bench.report.analysis.fail_on import Condition
    from slashbench.bench.report.analysis.history import Release, Step

GATE = "bytes>0,bytes<0"

EXAMPLES = f"""\
examples
  bench history results/core                     at each tag, and as it is now; without tags, at
                                                 each commit that changed its records
  bench history results/core --refs v0.1.0,HEAD  at these revisions, and as it is now
  bench history old/core new/core newer/core     folders or URLs, one after the other
  bench history results/core --by model          one line a model in place of one a codec
  bench history results/smoke results/local --gate --slower 2 --against zlib
                                                 for continuous integration: against a release
  bench history results/core results/local --gate 'bytes>0,bytes<0,decode<-25%'

--gate compares the last two and exits with 1 if a condition holds (default: {GATE}); what
the conditions mean: `bench compare --help`. Bytes are held where the codec was given the same float
weights and ran the same versions of libraries: other processors and versions of torch train other
weights. How many cells could not be held so is printed; if none could, that is a failure.

Speeds in --gate are those of machines that timed both. --slower RATIO needs no such machine: the
speed of a codec is divided by that of the codec --against in the same run, and it fails a codec
that, so divided, became RATIO times as slow, as a geometric mean over its cells.

exit codes: 0 good, 1 a condition of --gate or --slower holds, 2 usage error
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    history = verbs.add_parser(
        "history", help="show a board's sizes and speeds over releases", epilog=EXAMPLES
    )
    history.add_argument("folders", nargs="+", metavar="FOLDER", help="published results")
    history.add_argument(
        "--refs", metavar="LIST", help="git revisions of the one folder, oldest first"
    )
    history.add_argument(
        "--by",
        choices=["codec", "model", "recipe"],
        default="codec",
        help="what a line is (default: %(default)s)",
    )
    history.add_argument(
        "--gate",
        nargs="?",
        const=GATE,
        metavar="CONDITIONS",
        help="exit with 1 if the last release is not held",
    )
    history.add_argument(
        "--slower",
        type=positive,
        metavar="RATIO",
        help="exit with 1 if a codec became that many times as slow beside the one --against",
    )
    history.add_argument(
        "--against",
        default="zlib",
        metavar="CODEC",
        help="whose speed in the same run --slower divides by (default: %(default)s)",
    )
    history.add_argument("--json", action="store_true", help="print JSON, for programs")
    history.set_defaults(verb=_history)


def _history(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import console
    from slashbench.bench.report.analysis import fail_on, history
    from slashbench.bench.report.boards import history as board
    from slashbench.bench.report.output import terminal

    asked = fail_on.conditions(options.gate or "")
    out = console()
    with tempfile.TemporaryDirectory() as folder:
        found = _releases(options.folders, options.refs, Path(folder))
    if options.gate is not None or options.slower is not None:
        if len(found) < 2:
            raise UsageError("--gate compares two releases: name another folder, or --refs")
        said = _unheld(found[-2], found[-1], asked, out) if options.gate is not None else []
        if options.slower is not None:
            said += _slowed(found[-2], found[-1], options, out)
        for text in said:
            out.print(text, style="red")
        return int(bool(said))
    made = history.steps(found, options.by)
    if options.json:
        print(json.dumps([_plain(step, options.by) for step in made], indent=1))
        return 0
    for table in (board.releases(found), *board.changes(made, options.by)):
        terminal.print_table(table, out)
    out.print(board.LEGEND, style="dim")
    return 0


def _releases(folders: Sequence[str], refs: str | None, into: Path) -> list[Release]:
    from slashbench.bench.report.analysis.history import Release
    from slashbench.bench.report.data import results
    from slashbench.bench.store import merge, releases
    from slashbench.bench.store.store import Store

    places = {name: name for name in folders}
    if refs is not None and len(folders) > 1:
        raise UsageError("--refs takes one folder: name folders, or revisions of one")
    if len(folders) == 1:
        folder = Path(folders[0])
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder: name one that git has, or several releases")
        if refs is None:
            revisions = releases.tags(folder) or releases.changes(folder)
        else:
            revisions = list(filter(None, refs.split(",")))
        before = {name: str(releases.extract(folder, name, into)) for name in revisions}
        places = {**before, "now": folders[0]}
    found = []
    for name, where in places.items():
        store = Store(where)
        merge.check_source(store)
        found.append(Release(name, results.load(store)))
    return found


def _unheld(before: Release, after: Release, asked: Sequence[Condition], out: Console) -> list[str]:
    from slashbench.bench.report.analysis import fail_on, history

    found, apart = history.held(before, after)
    out.print(f"{before.name} -> {after.name}: {len(found.pairs)} cells are held")
    for reason, count in apart.items():
        out.print(f"{count} cells are not: {reason}", style="yellow")
    if any(one.what in ("encode", "decode") for one in asked) and not any(
        pair.clocks for pair in found.pairs
    ):
        out.print("speeds are not compared: no machine timed both", style="yellow")
    said = fail_on.violations(found, asked)
    if not found.pairs:
        said.append("nothing could be held: make both from the same weights")
    return said


def _slowed(
    before: Release, after: Release, options: argparse.Namespace, out: Console
) -> list[str]:
    from slashbench.bench.report.analysis import history

    said = []
    for what, found in history.speeds_beside(before, after, options.against).items():
        if not found:
            said.append(f"{what}: no cell has {options.against} timed in both: --against another")
            continue
        slowest = min(found, key=found.__getitem__)
        out.print(
            f"{what}, beside {options.against}: {len(found)} codecs, the most slowed is {slowest} "
            f"at {found[slowest]:.2f} times its speed"
        )
        said += [
            f"{what}: {codec} has {ratio:.2f} times the speed it had beside {options.against}"
            for codec, ratio in found.items()
            if ratio < 1 / options.slower
        ]
    return said


def _plain(step: Step, by: str) -> dict[str, object]:
    from slashbench.bench.report.analysis.compare import decode_change, encode_change

    encode, decode = encode_change(step.pairs), decode_change(step.pairs)
    return {
        "before": step.before,
        "after": step.after,
        by: step.group,
        "cells": len(step.pairs),
        "bytes_before": step.bytes_before,
        "bytes_after": step.bytes_after,
        "same": step.count(0),
        "grown": step.count(1),
        "shrunk": step.count(-1),
        "encode_ratio": encode and 1 + encode.estimate,
        "decode_ratio": decode and 1 + decode.estimate,
    }
