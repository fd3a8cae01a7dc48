"""Weights that were trained onto a grid of their own, as the integers they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slashbench.contracts import Quantised, Quantiser
from slashbench.errors import Unencodable
from slashbench.grid import OneStep, Steps

#: A row in which even the smallest magnitude is a larger multiple of the step is refused.
MULTIPLES = 64


class Lattice(Quantiser):
    """Find the step of each row whose weights are multiples of one; nothing is rounded.

    Matrices only; for weights that `backslash-q:steps=by-row` has left on their grid.
    """

    def quantise(self, name: str, weight: npt.NDArray[Any]) -> Quantised | None:
        """Integers and a step a row. Raises Unencodable for a row that lies on no grid."""
        if weight.ndim < 2:
            return None
        rows = weight.reshape(len(weight), -1).astype(np.float32)
        steps = np.ones(len(rows), np.float16)
        for index, row in enumerate(rows):
            steps[index] = _step_of(name, index, row)
        values = np.rint(rows / steps.astype(np.float32)[:, None]).astype(np.int32)
        shared = len(steps) and (steps == steps[0]).all()
        grid = OneStep(float(steps[0])) if shared else Steps(steps)
        return Quantised(values.reshape(weight.shape), grid)


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
        f"row {index} of {name} does not lie on a grid; train it with backslash-q:steps=by-row, or "
        "end the recipe with quantize"
    )
