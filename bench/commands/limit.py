"""The verb `limit`: the fewest bits that a trained checkpoint allows any coder."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from slashbench.bench.commands.parsing import out_option
from slashbench.errors import UsageError

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs

LIMIT = """\
examples
  bench limit --model digits-mlp                 of the plain float model of seed 0
  bench report --boards limit,equal-accuracy     per matrix; bits above the limit of each side

Gradients, second moments of inputs and losses under noise say how strongly the metric feels each
direction of each matrix; reverse water-filling, the fewest bits for a loss. The record is kept in
the results folder: boards show from then on how many bits above the limit a recipe is. Training
that is missing runs first.

exit codes: 0 done, 2 usage error, 130 interrupted
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    limit = verbs.add_parser(
        "limit",
        parents=[out_option()],
        help="find the fewest bits that a trained model allows, by reverse water-filling",
        epilog=LIMIT,
    )
    limit.add_argument("--model", required=True, metavar="NAME", help="see `bench list models`")
    limit.add_argument(
        "--recipe", default="plain", metavar="RECIPE", help="what trains it (default: %(default)s)"
    )
    limit.add_argument("--seed", default="0", metavar="N", help="seed (default: %(default)s)")
    limit.add_argument(
        "--batches",
        type=int,
        default=16,
        metavar="N",
        help="batches of training data to look at (default: %(default)s)",
    )
    limit.set_defaults(verb=_limit)


def _limit(options: argparse.Namespace) -> int:
    from slashbench.bench.commands import progress
    from slashbench.bench.commands.console import console
    from slashbench.bench.engines.inline import InlineProgress
    from slashbench.bench.pipeline import limit_of_checkpoint
    from slashbench.bench.pipeline.stages import Stages
    from slashbench.bench.plan.matrix import Request, plan
    from slashbench.bench.report.data.water_filling import at_loss
    from slashbench.bench.store.store import Store

    if options.batches < 1:
        raise UsageError(f"--batches {options.batches}: give a number of batches, 1 or more")
    out = console()
    request = Request(
        models=options.model, recipes=options.recipe, codecs="rans", seeds=options.seed
    )
    cells = plan(request).cells
    if len({(cell.model.text, cell.recipe.training, cell.seed) for cell in cells}) != 1:
        raise UsageError("name one model, one recipe and one seed")
    store = Store(options.out)
    store.sweep()
    display = progress.Display(out)
    with display.over(cells[:1]):
        stages = Stages(store, "missing", InlineProgress(display))
        record = limit_of_checkpoint.found(stages, cells[0], options.batches)
    tolerance = cells[0].model.item.tolerance
    found = at_loss(record, tolerance)
    out.print(
        f"for a loss of {tolerance:.4g} {cells[0].model.item.metric}: {found.bits:.3f} bits a "
        f"parameter, {found.scalar_bits:.3f} with a scalar quantiser and an ideal entropy coder",
        soft_wrap=True,
    )
    out.print("per matrix: bench report --boards limit", soft_wrap=True)
    return 0
