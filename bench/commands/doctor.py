"""The verb `doctor`: what is installed and works here, and what to do where something does not."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from slashbench.bench.commands.parsing import Verbs
    from slashbench.bench.doctor.health_check import HealthCheck

EXAMPLES = """\
examples
  bench doctor
  bench doctor --all             good things line by line, too
  bench doctor --quick           without round trips of codecs and hashes of files
  bench doctor --json            for a report of a fault

Looks at Python, packages and extras, cores, memory, disk, folders that are written to, torch and
CUDA, models, fetched files and their hashes, compiled kernels, and a round trip of each codec. The
first time, codecs compile their kernels: up to a minute.

exit codes: 0 no problem (what is only optional is a note), 1 a problem, 2 usage error
"""

STYLES = {"good": "green", "note": "yellow", "problem": "red"}


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    doctor = verbs.add_parser(
        "doctor", help="say what is installed and works here, and what to do", epilog=EXAMPLES
    )
    doctor.add_argument("--all", action="store_true", help="print what is good line by line")
    doctor.add_argument("--quick", action="store_true", help="run no codec and hash no file")
    doctor.add_argument("--json", action="store_true", help="print JSON, for programs")
    doctor.set_defaults(verb=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import console
    from slashbench.bench.doctor.visit import visit

    if options.json:
        found = list(visit(options.quick))
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=1))
    else:
        found = _shown(visit(options.quick), options.all, console())
    return int(any(one.status == "problem" for one in found))


def _shown(found: Iterable[HealthCheck], everything: bool, out: Console) -> list[HealthCheck]:
    """Print each part as soon as it was looked at. Return all that was found."""
    every = []
    for part, checks in itertools.groupby(found, lambda one: one.part):
        seen = list(checks)
        every += seen
        brief = part in ("codecs", "models") and not everything
        _show(part, [one for one in seen if one.status != "good" or not brief], len(seen), out)
    problems = sum(one.status == "problem" for one in every)
    out.print(f"{problems} problems" if problems else "no problem")
    return every


def _show(part: str, seen: Sequence[HealthCheck], count: int, out: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    out.print(part, style="bold")
    table = Table(box=None, pad_edge=False, show_header=False)
    for one in seen:
        cells = (one.name, one.said, one.remedy)
        table.add_row(Text(one.status, style=STYLES[one.status]), *map(Text, cells))
    if seen:
        out.print(table)
    if count > len(seen):
        out.print(f"{count - len(seen)} are good; --all names them", style="dim")
