"""Run cells one after the other in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slashbench.bench.matrix import Cell
from slashbench.bench.stages import Stages
from slashbench.errors import VerificationMismatch
from slashbench.record import CellRecord

Finished = Callable[[Cell, CellRecord], None]


def run(cells: Sequence[Cell], stages: Stages, finished: Finished) -> list[str]:
    """Run every cell; `finished` hears of each one. One failure never stops the others.

    Returns the verification mismatches, which outrank ordinary failures.
    """
    mismatches = []
    for cell in cells:
        try:
            record = stages.run(cell)
        except VerificationMismatch as error:
            mismatches.append(str(error))
            continue
        finished(cell, record)
    return mismatches
