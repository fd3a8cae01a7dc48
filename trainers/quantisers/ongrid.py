"""Weights that were trained onto a grid of their own, as the integers they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slashbench.contracts import ByRuns, Runs
from slashbench.errors import Unencodable
from slashbench.grid import ChannelScales, TensorScale
from slashbench.trainers.numerics.integers import as_matrix, rounded

#: A row in which even the smallest magnitude is a larger multiple of the step is refused.
MULTIPLES = 64


class Lattice(ByRuns):
    """Find the step of each row whose weights are multiples of one; nothing is rounded.

    Matrices only; for weights that `backslash-q:granularity=channel` has left on their grid.
    """

    def in_runs(self, name: str, weight: npt.NDArray[Any]) -> Runs | None:
        """Integers and a step a row. Raises Unencodable for a row that lies on no grid."""
        if weight.ndim < 2:
            return None
        steps = np.ones(len(weight), np.float16)
        for index, row in enumerate(as_matrix(weight)):
            steps[index] = _step_of(name, index, row.astype(np.float32))
        if len(steps) and (steps == steps[0]).all():
            one = np.float32(steps[0])
            return Runs(weight, TensorScale(float(one)), lambda part, _: rounded(name, part, one))
        wide = steps.astype(np.float32)
        return Runs(
            weight, ChannelScales(steps), lambda part, rows: rounded(name, part, wide[rows])
        )


def _step_of(name: str, index: int, row: npt.NDArray[np.float32]) -> np.float16:
    magnitudes = np.abs(row[row != 0])
    if not magnitudes.size:
        return np.float16(1)
    for multiple in range(1, MULTIPLES + 1):
        step = np.float16(magnitudes.min() / multiple)
        if step > 0 and np.isfinite(magnitudes).all():
            integers = np.rint(row / np.float32(step))
            if (integers * np.float32(step) == row).all() and np.abs(integers).max() < 2**24:
                return step
    raise Unencodable(
        f"row {index} of {name} does not lie on a grid; train it with "
        "backslash-q:granularity=channel, or end the recipe with quantize"
    )
