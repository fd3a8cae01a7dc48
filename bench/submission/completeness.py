"""Whether a folder has every cell of the commands that its records name."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence

from slashbench.bench.pipeline import keys
from slashbench.bench.plan import matrix
from slashbench.bench.plan.matrix import Cell, Request
from slashbench.bench.report.data.records import Records
from slashbench.bench.submission.submission_check import SubmissionCheck, held
from slashbench.errors import SlashbenchError

_NAME = "complete"
_REMEDY = (
    "run the command again, which makes what is missing, and publish anew; if fewer cells were "
    "meant, say so: --command 'bench run ...'"
)


def complete(records: Records, asked: Mapping[str, Request]) -> list[SubmissionCheck]:
    """Check that every cell of each plan has a record; those without are named.

    A codec whose library the submitter did not have is no part of `all` there.

    Parameters
    ----------
    asked
        Command line -> what it asks for.
    """
    there = {
        (cell.model, cell.recipe, cell.execution, cell.codec, cell.seed) for cell in records.cells
    }
    had = {name for cell in records.cells for name in cell.provenance.libraries}
    wanted: dict[str, bool] = {}  # cell -> whether it is there
    foreign: dict[str, None] = {}  # codecs that the submitter did not have
    unplanned, left_out = [], []
    for line, request in asked.items():
        try:
            plan = matrix.plan(request)
        except SlashbenchError as error:
            unplanned.append(f"{line}: {error}")
            continue
        left_out += [
            f"{what}: {why}" for what, why in plan.left_out.items() if what.startswith("model ")
        ]
        for cell in plan.cells:
            fields = keys.cell_fields(cell)
            who = tuple(fields[name] for name in ("model", "recipe", "execution", "codec", "seed"))
            if who in there or _could_run(cell, had):
                wanted[str(cell)] = who in there
            else:
                foreign[cell.codec.name] = None
    found = []
    if wanted:
        count = f"{len(wanted)} cells of the commands that records name"
        if foreign:
            count += f"; not installed there: {', '.join(foreign)}"
        missing = [cell for cell, known in wanted.items() if not known]
        found.append(held(_NAME, count, missing, _REMEDY))
    if unplanned or left_out or not asked:
        found.append(_untold(unplanned + left_out, not asked))
    return found


def _untold(what: Sequence[str], nothing: bool) -> SubmissionCheck:
    said = (
        "no record names a bench run that can be planned again"
        if nothing
        else f"{len(what)} commands or models can't be planned here"
    )
    return SubmissionCheck(
        "complete, the rest",
        "unclear",
        said,
        "say which cells the folder should have: --command 'bench run ...', with the models here",
        what,
    )


def _could_run(cell: Cell, had: set[str]) -> bool:
    """Return whether a submitter with these distributions had the codec's libraries."""
    return all(had & set(_distributions(module)) for module in cell.codec.code if " " not in module)


def _distributions(module: str) -> list[str]:
    return importlib.metadata.packages_distributions().get(module, [module])
