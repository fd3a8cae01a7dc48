"""Uniform scalar quantisation with a step for each row."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from slashbench.contracts import Quantised, Quantiser
from slashbench.grid import OneStep, Steps
from slashbench.trainers.integers import blocks, check_finite, float_of_steps, rounded


class RowsInStd(Quantiser):
    """Round to a grid per row (output channel), its step `step` times the row's deviation.

    With an entropy coder behind it the number of bits is no limit, so nothing is clipped. Matrices
    only: a step for a single weight saves nothing.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("step",)

    def __init__(self, step: float = 0.5) -> None:
        if not (step > 0 and math.isfinite(step)):
            raise ValueError(f"step={step} must be a finite number > 0")
        self.step = step

    def quantise(self, name: str, weight: npt.NDArray[Any]) -> Quantised | None:
        """int32, ties to the even neighbour, and a float16 or float32 step a row."""
        if weight.ndim < 2:
            return None
        if not weight.size:
            return Quantised(weight.astype(np.int32), OneStep(self.step))
        check_finite(name, weight)
        unit = np.concatenate([_unit(weight[block]) for block in blocks(weight)])
        steps = self.step * np.where(unit > 0, unit, 1.0)
        dtype = float_of_steps(float(steps.min()), float(steps.max()))
        stored = steps.astype(np.float16 if dtype == torch.float16 else np.float32)
        # in float64, as the steps were found
        return Quantised(rounded(name, weight, stored.astype(np.float64)), Steps(stored))


def _unit(weight: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The deviation of each row; where all are equal, and there is none, their magnitude."""
    rows = np.asarray(weight, np.float64).reshape(len(weight), -1)
    spread = rows.std(axis=1)
    unit: npt.NDArray[np.float64] = np.where(spread > 0, spread, np.abs(rows).max(axis=1))
    return unit
