"""The verb `test-codec`: check a codec against the codec contract."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from slashbench.bench.commands.parsing import Verbs
    from slashbench.bench.conformance.checks import CheckOutcome
    from slashbench.bench.conformance.runner import CodecReport

TESTING = """\
examples
  bench test-codec huffman                       a registered codec
  bench test-codec exp-golomb:k=0..4,zstd        several, with settings
  bench test-codec my_codec:Bytes                the class Bytes in my_codec.py, not registered yet
  bench test-codec numcodecs:Zlib:level=9        any numcodecs codec

A check passes, is skipped with a reason, or fails and shows the smallest failing input and the
Python code that makes it. The same checks from pytest:

  import pytest
  from slashbench.bench.conformance import CHECKS

  @pytest.mark.parametrize("check", CHECKS, ids=str)
  def test_my_codec(check):
      check(MyCodec)

exit codes: 0 no check failed, 1 some failed, 2 usage error
"""

_STYLES = {"pass": "green", "fail": "red bold", "skip": "yellow"}


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    test = verbs.add_parser(
        "test-codec",
        help="check a codec, yours or ours, against the codec contract",
        epilog=TESTING,
    )
    test.add_argument(
        "codecs", metavar="LIST", help="NAME[:settings], module:Class[:settings], all"
    )
    test.add_argument("--json", action="store_true", help="print JSON, for programs")
    test.set_defaults(verb=_test_codec)


def _test_codec(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import console
    from slashbench.bench.conformance import runner

    sys.path.insert(0, str(Path.cwd()))  # where an author's module is, as for `python -m`
    out = console()
    trials = []
    for trial in runner.trials(options.codecs):
        trials.append(trial)
        if not options.json:
            _show(trial, out)
    if options.json:
        print(runner.as_json(trials))
    return 0 if all(trial.passed for trial in trials) else 1


def _show(trial: CodecReport, console: Console) -> None:
    """Print one codec's checks as a table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("s", justify="right", no_wrap=True)
    table.add_column("contract, or failure", overflow="fold")
    for outcome in trial.outcomes:
        said = outcome.detail if outcome.status != "pass" else _promise(outcome)
        table.add_row(
            outcome.check,
            Text(outcome.status, _STYLES[outcome.status]),
            f"{outcome.seconds:.2f}",
            Text(said),
        )
    counts = dict.fromkeys(_STYLES, 0)
    for outcome in trial.outcomes:
        counts[outcome.status] += 1
    console.print(Text(trial.codec, "bold"))
    console.print(table)
    console.print(f"{counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped\n")


def _promise(outcome: CheckOutcome) -> str:
    return f"{outcome.promise} ({outcome.detail})" if outcome.detail else outcome.promise
