"""Where the weights of a quantised tensor lie: what turns a codec's integers back into floats.

A grid is side information: a file stores it and its bytes count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class OneStep:
    """weight = integer * step, one step for the whole tensor."""

    step: float

    def rebuild(self, values: Array) -> Array:
        """float32 weights, the shape of `values`."""
        return values.astype(np.float32) * np.float32(self.step)


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """weight = integer * step, a step for each row or for each group of columns in a row.

    steps: float16 or float32, shape (rows,) or (rows, groups). A row is all that shares the first
    index; its columns are cut into groups of equal size, the last of which may be shorter.
    """

    steps: Array

    def rebuild(self, values: Array) -> Array:
        """float32 weights, the shape of `values`. Raises ValueError where the shapes differ."""
        rows = values.reshape(len(values), -1)
        steps = self.steps.astype(np.float32).reshape(len(self.steps), -1)
        if len(rows) != len(steps) or not steps.shape[1]:
            raise ValueError(f"steps of shape {self.steps.shape} for {values.shape} values")
        size = -(-rows.shape[1] // steps.shape[1])
        by_column = np.repeat(steps, size, axis=1)[:, : rows.shape[1]]
        return (rows.astype(np.float32) * by_column).reshape(values.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """weight = levels[integer]: a codebook. levels: float32, shape (n,)."""

    levels: Array

    def rebuild(self, values: Array) -> Array:
        """float32 weights, the shape of `values`. Raises ValueError for an integer outside."""
        if values.size and not (values.min() >= 0 and values.max() < len(self.levels)):
            raise ValueError(f"an index is outside the codebook of {len(self.levels)} levels")
        return np.asarray(self.levels, np.float32)[values]


Grid = OneStep | Steps | Levels
