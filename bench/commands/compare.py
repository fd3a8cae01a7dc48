"""The verb `compare`: what changed between two runs, or between two recipes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from slashbench.bench.commands.parsing import out_option
from slashbench.errors import UsageError

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs

COMPARING = """\
examples
  bench compare results/before results/after                two runs, cell by cell
  bench compare plain backslash:lam=20                      two recipes of --out, under each
                                                            quantiser that both have
  bench compare plain+quantize:step=2^-5 plain+gptq:step=2^-5
  bench compare before after --fail-on 'bytes>0,decode<-10%,metric<-0.5'

--fail-on exits with 1 if a condition holds, for continuous integration. Bytes are exact: a single
cell is enough. Metrics (of a recipe, over its seeds; in the metric's unit, above 0: better) and
speeds (of a codec, over models and seeds, on one machine) are noisy: their whole interval of 95 %
must be beyond the limit. The speed of a codec on one model and seed has no interval, so it never
is. A cell that fails or is missing in the second counts too.

exit codes: 0 no condition holds, 1 one holds, 2 usage error
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    compare = verbs.add_parser(
        "compare",
        parents=[out_option()],
        help="compare two runs, or two recipes",
        epilog=COMPARING,
    )
    compare.add_argument(
        "a", metavar="A", help="results (a folder, URL or published file), or a recipe of --out"
    )
    compare.add_argument("b", metavar="B", help="the other")
    compare.add_argument(
        "--fail-on", default="", metavar="CONDITIONS", help="exit with 1 if one of these holds"
    )
    compare.set_defaults(verb=_compare)


def _compare(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import console
    from slashbench.bench.report.analysis import compare, fail_on
    from slashbench.bench.report.boards import comparison
    from slashbench.bench.report.data import results
    from slashbench.bench.report.output import terminal
    from slashbench.bench.store.store import Store, is_results

    asked = fail_on.conditions(options.fail_on)
    out = console()
    if all(map(is_results, (options.a, options.b))):
        a, b = (results.load(Store(side)).rows for side in (options.a, options.b))
        found = compare.of_runs(options.a, a, options.b, b)
    else:
        found = compare.of_recipes(options.a, options.b, results.load(Store(options.out)).rows)
    if not found.pairs:
        raise UsageError(f"no cell is both in {options.a} and in {options.b}: nothing to compare")
    for table in comparison.tables(found):
        terminal.print_table(table, out)
    out.print(comparison.LEGEND, style="dim")
    said = fail_on.violations(found, asked)
    for text in said if options.fail_on else []:
        out.print(text, style="red", soft_wrap=True)
    return 1 if options.fail_on and said else 0
