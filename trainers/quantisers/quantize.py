"""Uniform scalar quantization by rounding; nothing is clipped."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from slashbench import validate
from slashbench.arrays import Array
from slashbench.contracts import BlockwiseQuantiser, RowBlocks
from slashbench.errors import BadSetting
from slashbench.grid import ChannelScales, TensorScale
from slashbench.trainers.numerics.integers import (
    as_matrix,
    by_halves,
    check_finite,
    float_of_scales,
    rounded,
    spread_of,
    tiles,
)

Scope = Literal["matrices", "all"]
Unit = Literal["weight", "std"]
Granularity = Literal["tensor", "channel"]


class Uniform(BlockwiseQuantiser):
    """Round weights to a uniform grid of step size `step`.

    With an entropy coder behind it the number of bits is no limit, so no weight is clipped.

    Parameters
    ----------
    step : float
        Step size of the grid, in `unit`.
    unit : {"weight", "std"}
        `weight`: the weights' own unit, the same step size for every tensor. `std`: the standard
        deviation of the tensor or channel; the largest magnitude where all its weights are equal.
    granularity : {"tensor", "channel"}
        What has a step size of its own. `channel` (all that shares the first index) needs
        `unit=std`, and applies to matrices: a vector has one step size.
    scope : {"matrices", "all"}
        `matrices` keeps vectors (biases, norms) in their native dtype.

    References
    ----------
    BackSlash quantizes with step 2^-8 and no unit: Wu, Wen & Han, arXiv 2504.16968, section 4.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("step",)

    def __init__(
        self,
        step: float = 2.0**-8,
        unit: Unit = "weight",
        granularity: Granularity = "tensor",
        scope: Scope = "matrices",
    ) -> None:
        validate.positive(step=step)
        validate.choice(Unit, unit=unit)
        validate.choice(Granularity, granularity=granularity)
        validate.choice(Scope, scope=scope)
        if granularity == "channel" and unit == "weight":
            raise BadSetting(
                "granularity=channel needs unit=std: in the weights' own unit every channel would "
                "have the same step size"
            )
        self.step, self.unit, self.scope = step, unit, scope
        self.by_channel = granularity == "channel"

    def in_blocks(self, name: str, weight: Array) -> RowBlocks | None:
        """Return round(weight / step size) as int32; ties go to the even neighbour."""
        if self.scope == "matrices" and weight.ndim < 2:
            return None
        check_finite(name, weight)
        if self.by_channel and weight.ndim > 1 and weight.size:
            return self._by_channel(name, weight)
        size = np.float32(self.tensor_step(weight))
        return RowBlocks(
            weight, TensorScale(float(size)), lambda part, _: rounded(name, part, size)
        )

    def tensor_step(self, weight: Array) -> float:
        """Return the step size of a tensor that has one for all its weights."""
        if self.unit == "weight" or not weight.size:
            return self.step
        spread = spread_of(weight) or max(float(weight.max()), -float(weight.min()))
        return self.step * (spread or 1.0)

    def _by_channel(self, name: str, weight: Array) -> RowBlocks:
        """Return int32, and a float16 or float32 scale for each channel."""
        matrix = as_matrix(weight)
        unit = np.concatenate([_unit(matrix[rows]) for rows, _ in tiles(matrix, matrix.shape[1])])
        sizes = self.step * np.where(unit > 0, unit, 1.0)
        stored = sizes.astype(float_of_scales(float(sizes.min()), float(sizes.max())))
        exact = stored.astype(np.float64)  # the quotient is rounded in float64
        return RowBlocks(
            weight, ChannelScales(stored), lambda part, rows: rounded(name, part, exact[rows])
        )


def _unit(rows: Array) -> npt.NDArray[np.float64]:
    """Return each row's deviation; where all its weights are equal, their magnitude."""
    n = rows.shape[1]
    centre = by_halves(lambda part: np.asarray(part, np.float64).sum(axis=1), np.add, rows) / n

    def squares(part: Array) -> Any:
        distances = np.subtract(part, centre[:, None], dtype=np.float64)
        return np.square(distances, out=distances).sum(axis=1)

    spread = np.sqrt(by_halves(squares, np.add, rows) / n)
    magnitude = by_halves(lambda part: np.abs(part).max(axis=1), np.maximum, rows)
    unit: npt.NDArray[np.float64] = np.where(spread > 0, spread, magnitude)
    return unit
