"""Uniform scalar quantization by rounding."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from slashbench.contracts import ByRuns, Runs
from slashbench.grid import TensorScale
from slashbench.trainers.numerics.integers import check_finite, rounded, spread_of

Scope = Literal["matrices", "all"]
Unit = Literal["weight", "std"]


class Rounding(ByRuns):
    """Round weights to a uniform grid whose step a subclass chooses for each tensor.

    scope: matrices only, vectors (biases, norms) staying in their native dtype; or all.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("step",)

    def __init__(self, step: float, scope: Scope) -> None:
        if not (step > 0 and math.isfinite(step)):
            raise ValueError(f"step={step} must be a finite number > 0")
        self.step, self.scope = step, scope

    def in_runs(self, name: str, weight: npt.NDArray[Any]) -> Runs | None:
        """round(weight / step) as int32; ties go to the even neighbour."""
        if self.scope == "matrices" and weight.ndim < 2:
            return None
        check_finite(name, weight)
        step = np.float32(self.step_of(weight))
        return Runs(weight, TensorScale(float(step)), lambda part, _: rounded(name, part, step))

    @abstractmethod
    def step_of(self, weight: npt.NDArray[Any]) -> float:
        """The grid's step for one tensor."""


class Uniform(Rounding):
    """Round weights to one grid of step `step` for all tensors (BackSlash codes at 2^-8)."""

    def __init__(self, step: float = 2.0**-8, scope: Scope = "matrices") -> None:
        super().__init__(step, scope)

    def step_of(self, weight: npt.NDArray[Any]) -> float:
        """The same for every tensor."""
        return self.step


class UniformInStd(Rounding):
    """Round weights to a grid per tensor, its step `step` times the tensor's standard deviation."""

    def __init__(self, step: float = 0.25, scope: Scope = "matrices") -> None:
        super().__init__(step, scope)

    def step_of(self, weight: npt.NDArray[Any]) -> float:
        """In units of the standard deviation; of the largest magnitude for a constant tensor."""
        if not weight.size:
            return self.step
        spread = spread_of(weight) or max(float(weight.max()), -float(weight.min()))
        return self.step * (spread or 1.0)


def rounding_in(unit: Unit, step: float, scope: Scope) -> Rounding:
    """Plain rounding with a step in units of the weights, or of each tensor's deviation."""
    return Uniform(step, scope) if unit == "weight" else UniformInStd(step, scope)
