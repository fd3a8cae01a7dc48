"""Rounding to a fixed number of bits, the step of each tensor, row or group searched."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from slashbench.contracts import Quantised, Quantiser
from slashbench.grid import Grid, OneStep, Steps
from slashbench.trainers.integers import check_finite, float_of_steps
from slashbench.trainers.quantize import Scope

Array = npt.NDArray[Any]

#: Where the grid ends, as shares of the largest magnitude: 1 loses no weight to clipping, less
#: makes the step finer for the many. 41 clips from 0.2 to 1 find the least error within about 1 %.
CLIPS = np.linspace(1.0, 0.2, 41)


class SearchedRounding(Quantiser):
    """Round to `bits` bits with the step of least squared error, found by search over the clip.

    Integers are symmetric, -(2^(bits-1) - 1) to 2^(bits-1) - 1, so that zero is exact.
    scope: matrices only, vectors staying in their native dtype; or all.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("bits",)

    def __init__(self, bits: int, scope: Scope) -> None:
        if not 2 <= bits <= 16:
            raise ValueError(f"bits={bits} must be from 2 to 16")
        self.bits, self.scope = bits, scope

    def quantise(self, name: str, weight: Array) -> Quantised | None:
        """int32, with the steps beside them. Raises Unencodable for weights that are not finite."""
        if self.scope == "matrices" and weight.ndim < 2:
            return None
        check_finite(name, weight)
        if not weight.size:
            return Quantised(weight.astype(np.int32), OneStep(1.0))
        pieces = self.pieces(np.asarray(weight, np.float32))  # (pieces, values)
        steps = searched_steps(pieces, self.bits)
        values = clipped(pieces, steps, self.bits).astype(np.int32)
        return Quantised(*self.assembled(values, steps, weight.shape))

    @abstractmethod
    def pieces(self, weight: Array) -> Array:
        """The weights that share a step as rows of a matrix, the last ones padded with zeros."""

    @abstractmethod
    def assembled(self, values: Array, steps: Array, shape: tuple[int, ...]) -> tuple[Array, Grid]:
        """The inverse: integers in the tensor's shape, and its grid."""


class RoundTensor(SearchedRounding):
    """Round to `bits` bits, one step a tensor, that of least squared error (clip searched)."""

    def __init__(self, bits: int = 8, scope: Scope = "matrices") -> None:
        super().__init__(bits, scope)

    def pieces(self, weight: Array) -> Array:
        """All in one row."""
        return weight.reshape(1, -1)

    def assembled(self, values: Array, steps: Array, shape: tuple[int, ...]) -> tuple[Array, Grid]:
        """One step."""
        return values.reshape(shape), OneStep(float(steps[0]))


class RoundRows(SearchedRounding):
    """Round to `bits` bits, one step a row (output channel), that of least squared error."""

    def __init__(self, bits: int = 8, scope: Scope = "matrices") -> None:
        super().__init__(bits, scope)

    def pieces(self, weight: Array) -> Array:
        """A row is all that shares the first index; a scalar is one row."""
        return weight.reshape(len(weight) if weight.ndim else 1, -1)

    def assembled(self, values: Array, steps: Array, shape: tuple[int, ...]) -> tuple[Array, Grid]:
        """A step a row."""
        return values.reshape(shape), Steps(steps) if shape else OneStep(float(steps[0]))


class RoundGroups(SearchedRounding):
    """Round to `bits` bits, one step a group of `size` columns in a row, as 4-bit formats do."""

    always_spelled: ClassVar[tuple[str, ...]] = ("bits", "size")

    def __init__(self, bits: int = 4, size: int = 128, scope: Scope = "matrices") -> None:
        super().__init__(bits, scope)
        if size < 1:
            raise ValueError(f"size={size} must be at least 1")
        self.size = size

    def pieces(self, weight: Array) -> Array:
        """Groups of like size in each row: as few as keep within `size`."""
        rows = weight.reshape(len(weight) if weight.ndim else 1, -1)
        groups = -(-rows.shape[1] // self.size)
        size = -(-rows.shape[1] // groups)  # as `Steps` cuts a row
        padded = np.pad(rows, [(0, 0), (0, groups * size - rows.shape[1])])
        return padded.reshape(-1, size)

    def assembled(self, values: Array, steps: Array, shape: tuple[int, ...]) -> tuple[Array, Grid]:
        """A step a group."""
        rows = shape[0] if shape else 1
        columns = int(np.prod(shape)) // rows
        whole = values.reshape(rows, -1)[:, :columns]
        grid = Steps(steps.reshape(rows, -1)) if shape else OneStep(float(steps[0]))
        return whole.reshape(shape), grid


def searched_steps(pieces: Array, bits: int) -> Array:
    """The step of least squared error of each row, (rows,): float16 where all fit it, else float32.

    pieces: float32, (rows, values).
    """
    largest = np.abs(pieces).max(axis=1, initial=0.0)
    coarsest = np.where(largest > 0, largest, 1.0) / (2 ** (bits - 1) - 1)
    kind = float_of_steps(float(coarsest.min()) * CLIPS.min(), float(coarsest.max()))
    dtype: Any = np.float16 if kind == torch.float16 else np.float32
    best = np.ones(len(pieces), dtype)
    least = np.full(len(pieces), np.inf)
    for clip in CLIPS:
        steps = (coarsest * clip).astype(dtype)
        wide = steps.astype(np.float32)[:, None]
        errors = (clipped(pieces, steps, bits) * wide - pieces) / coarsest[:, None]
        error = np.square(errors).sum(axis=1)
        better = error < least
        best[better], least[better] = steps[better], error[better]
    return best


def clipped(pieces: Array, steps: Array, bits: int) -> Array:
    """Whole numbers in float32, ties to even, within the reach of `bits` bits."""
    limit = 2 ** (bits - 1) - 1
    return np.clip(np.rint(pieces / steps.astype(np.float32)[:, None]), -limit, limit)
