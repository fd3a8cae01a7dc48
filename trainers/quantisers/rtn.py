"""Rounding to a fixed number of bits, the step of each tensor, row or group searched."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from slashbench.contracts import ByRuns, Runs
from slashbench.grid import ChannelScales, Grid, TensorScale
from slashbench.trainers.numerics.integers import (
    as_matrix,
    by_halves,
    check_finite,
    float_of_steps,
    tiles,
)
from slashbench.trainers.quantisers.quantize import Scope

Array = npt.NDArray[Any]

#: Where the grid ends, as shares of the largest magnitude: 1 loses no weight to clipping, less
#: makes the step finer for the many. 41 clips from 0.2 to 1 find the least error within about 1 %.
CLIPS = np.linspace(1.0, 0.2, 41)


class SearchedRounding(ByRuns):
    """Round to `bits` bits with the step of least squared error, found by search over the clip.

    Integers are symmetric, -(2^(bits-1) - 1) to 2^(bits-1) - 1, so that zero is exact.
    scope: matrices only, vectors staying in their native dtype; or all.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("bits",)

    def __init__(self, bits: int, scope: Scope) -> None:
        if not 2 <= bits <= 16:
            raise ValueError(f"bits={bits} must be from 2 to 16")
        self.bits, self.scope = bits, scope

    def in_runs(self, name: str, weight: Array) -> Runs | None:
        """int32, with the steps beside them. Raises Unencodable for weights that are not finite."""
        if self.scope == "matrices" and weight.ndim < 2:
            return None
        check_finite(name, weight)
        if not weight.size:
            return Runs(weight.astype(np.int32), TensorScale(1.0))
        matrix = self.matrix(weight)
        size = self.size_in(matrix.shape[1])
        steps = searched_steps(matrix, size, self.bits)

        def integers(part: Array, rows: slice) -> Array:
            own = steps if len(steps) == 1 else steps[rows]
            return clipped_to(self.matrix(part), own, size, self.bits).reshape(part.shape)

        grid = self.grid(steps) if weight.ndim else TensorScale(float(steps[0, 0]))
        return Runs(weight, grid, integers)

    def matrix(self, weight: Array) -> Array:
        """The weights in rows, of which each has steps of its own."""
        return as_matrix(weight)

    @abstractmethod
    def size_in(self, columns: int) -> int:
        """How many neighbours in a row of so many share a step."""

    @abstractmethod
    def grid(self, steps: Array) -> Grid:
        """The grid of steps (rows, groups in a row)."""


class RoundTensor(SearchedRounding):
    """Round to `bits` bits, one step a tensor, that of least squared error (clip searched)."""

    def __init__(self, bits: int = 8, scope: Scope = "matrices") -> None:
        super().__init__(bits, scope)

    def matrix(self, weight: Array) -> Array:
        """All in one row."""
        return weight.reshape(1, -1)

    def size_in(self, columns: int) -> int:
        """All."""
        return columns

    def grid(self, steps: Array) -> Grid:
        """One step."""
        return TensorScale(float(steps[0, 0]))


class RoundRows(SearchedRounding):
    """Round to `bits` bits, one step a row (output channel), that of least squared error."""

    def __init__(self, bits: int = 8, scope: Scope = "matrices") -> None:
        super().__init__(bits, scope)

    def size_in(self, columns: int) -> int:
        """All."""
        return columns

    def grid(self, steps: Array) -> Grid:
        """A step a row."""
        return ChannelScales(steps[:, 0])


class RoundGroups(SearchedRounding):
    """Round to `bits` bits, one step a group of `size` columns in a row, as 4-bit formats do."""

    always_spelled: ClassVar[tuple[str, ...]] = ("bits", "size")

    def __init__(self, bits: int = 4, size: int = 128, scope: Scope = "matrices") -> None:
        super().__init__(bits, scope)
        if size < 1:
            raise ValueError(f"size={size} must be at least 1")
        self.size = size

    def size_in(self, columns: int) -> int:
        """Groups of like size in each row, as `ChannelScales` cuts it; as few as `size` allows."""
        groups = -(-columns // self.size)
        return -(-columns // groups)

    def grid(self, steps: Array) -> Grid:
        """A step a group."""
        return ChannelScales(steps)


def searched_steps(matrix: Array, size: int, bits: int) -> Array:
    """The step of least squared error of each group of `size` columns, (rows, groups).

    float16 where all fit it, else float32. The last group of a row may be smaller.
    """
    largest = np.empty((len(matrix), -(-matrix.shape[1] // size)), np.float32)
    for rows, groups, pieces in _by_group(matrix, size):
        found = by_halves(_magnitudes, np.maximum, pieces)
        largest[rows, groups] = found.reshape(largest[rows, groups].shape)
    coarsest = np.where(largest > 0, largest, np.float32(1)) / (2 ** (bits - 1) - 1)
    kind = float_of_steps(float(coarsest.min()) * CLIPS.min(), float(coarsest.max()))
    steps = np.empty(coarsest.shape, kind)
    for rows, groups, pieces in _by_group(matrix, size):
        found = _best(pieces, coarsest[rows, groups].reshape(-1), steps.dtype, bits)
        steps[rows, groups] = found.reshape(steps[rows, groups].shape)
    return steps


def _by_group(matrix: Array, size: int) -> Iterator[tuple[slice, slice, Array]]:
    """Rows and groups of a block, and the groups as rows of a matrix, padded with zeros."""
    for rows, columns in tiles(matrix, size):
        groups = slice(columns.start // size, -(-columns.stop // size))
        missing = (groups.stop - groups.start) * size - (columns.stop - columns.start)
        block = matrix[rows, columns]
        padded = np.pad(block, [(0, 0), (0, missing)]) if missing else block
        yield rows, groups, padded.reshape(-1, size)


def _magnitudes(pieces: Array) -> Array:
    largest: Array = np.abs(np.asarray(pieces, np.float32)).max(axis=1)
    return largest


def _best(pieces: Array, coarsest: Array, dtype: npt.DTypeLike, bits: int) -> Array:
    """The step of least squared error of each row."""
    tried = [(coarsest * clip).astype(dtype) for clip in CLIPS]

    def errors(part: Array) -> Array:
        part = np.asarray(part, np.float32)
        return np.stack([_error(part, steps, coarsest, bits) for steps in tried])

    best, least = np.ones(len(pieces), dtype), np.full(len(pieces), np.inf)
    for steps, error in zip(tried, by_halves(errors, operator.add, pieces), strict=True):
        better = error < least
        best[better], least[better] = steps[better], error[better]
    return best


def _error(pieces: Array, steps: Array, coarsest: Array, bits: int) -> Array:
    """Of each row, squared, in units of its coarsest step."""
    wide = steps.astype(np.float32)[:, None]
    errors = clipped(pieces, wide, bits)
    errors *= wide
    errors -= pieces
    errors /= coarsest[:, None]
    total: Array = np.square(errors, out=errors).sum(axis=1)
    return total


def clipped_to(matrix: Array, steps: Array, size: int, bits: int) -> npt.NDArray[np.int32]:
    """The integers of a matrix whose groups of `size` columns have these steps, block by block."""
    values = np.empty(matrix.shape, np.int32)
    for rows, columns in tiles(matrix, size if steps.shape[1] > 1 else 1):
        own = steps[rows, columns.start // size : -(-columns.stop // size)].astype(np.float32)
        wide = own if own.shape[1] == 1 else np.repeat(own, size, axis=1)
        block = np.asarray(matrix[rows, columns], np.float32)
        values[rows, columns] = clipped(block, wide[:, : block.shape[1]], bits)
    return values


def clipped(weights: Array, steps: Array, bits: int) -> Array:
    """Whole numbers in float32, ties to even, within the reach of `bits` bits."""
    limit = 2 ** (bits - 1) - 1
    numbers = weights / steps
    np.rint(numbers, out=numbers)
    clip: Array = np.clip(numbers, -limit, limit, out=numbers)
    return clip
