"""Uniform scalar quantization with a step for each row."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from slashbench.contracts import ByRuns, Runs
from slashbench.grid import ChannelScales, TensorScale
from slashbench.trainers.numerics.integers import (
    as_matrix,
    by_halves,
    check_finite,
    float_of_steps,
    rounded,
    tiles,
)


class RowsInStd(ByRuns):
    """Round to a grid per row (output channel), its step `step` times the row's deviation.

    With an entropy coder behind it the number of bits is no limit, so nothing is clipped. Matrices
    only: a step for a single weight saves nothing.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("step",)

    def __init__(self, step: float = 0.5) -> None:
        if not (step > 0 and math.isfinite(step)):
            raise ValueError(f"step={step} must be a finite number > 0")
        self.step = step

    def in_runs(self, name: str, weight: npt.NDArray[Any]) -> Runs | None:
        """int32, ties to the even neighbour, and a float16 or float32 step a row."""
        if weight.ndim < 2:
            return None
        if not weight.size:
            return Runs(weight.astype(np.int32), TensorScale(self.step))
        check_finite(name, weight)
        matrix = as_matrix(weight)
        unit = np.concatenate([_unit(matrix[rows]) for rows, _ in tiles(matrix, matrix.shape[1])])
        steps = self.step * np.where(unit > 0, unit, 1.0)
        stored = steps.astype(float_of_steps(float(steps.min()), float(steps.max())))
        exact = stored.astype(np.float64)  # the quotient is rounded in float64
        return Runs(
            weight, ChannelScales(stored), lambda part, rows: rounded(name, part, exact[rows])
        )


def _unit(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The deviation of each row; where all are equal, and there is none, their magnitude."""
    n = rows.shape[1]
    centre = by_halves(lambda part: np.asarray(part, np.float64).sum(axis=1), np.add, rows) / n

    def squares(part: npt.NDArray[Any]) -> Any:
        distances = np.subtract(part, centre[:, None], dtype=np.float64)
        return np.square(distances, out=distances).sum(axis=1)

    spread = np.sqrt(by_halves(squares, np.add, rows) / n)
    magnitude = by_halves(lambda part: np.abs(part).max(axis=1), np.maximum, rows)
    unit: npt.NDArray[np.float64] = np.where(spread > 0, spread, magnitude)
    return unit
