"""From weights to the integers of a grid, and what every quantiser refuses."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from slashbench.arrays import Array
from slashbench.errors import Unencodable

T = TypeVar("T")

BLOCK = 1 << 20  # values, of which temporary copies are made at a time


def check_finite(name: str, weight: Array) -> None:
    """Raise Unencodable for NaN and infinity."""
    if not all(np.isfinite(part).all() for part in parts(weight.ravel("K"))):
        raise Unencodable(f"{name} holds weights that are not finite: training went wrong")


def float_of_scales(least: float, largest: float) -> type[np.float16 | np.float32]:
    """Return the type that stores scales of this range: float16 where it has all its digits."""
    limits = np.finfo(np.float16)
    fits = float(limits.tiny) <= least <= largest <= float(limits.max)
    return np.float16 if fits else np.float32


def widened(weight: Array) -> Array:
    """Return floats of 16 bits as float32, others unchanged."""
    return weight.astype(np.float32) if weight.dtype.itemsize < 4 else weight


def parts(flat: Array) -> Iterator[Array]:
    """Yield a flat array block by block, widened."""
    return (widened(flat[i : i + BLOCK]) for i in range(0, flat.size, BLOCK))


def as_matrix(weight: Array) -> Array:
    """Return a matrix whose rows share the first index; a scalar is one row."""
    rows, *others = weight.shape or (1,)
    return weight.reshape(rows, math.prod(others))


def tiles(matrix: Array, size: int = 1) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of blocks: runs of rows or, where a row is long, runs of columns.

    size: columns that are kept together, counted from the first.
    """
    rows, columns = matrix.shape
    height = max(1, BLOCK // max(1, columns))
    width = max(1, columns if columns <= BLOCK else BLOCK // size * size, size)
    for i in range(0, rows, height):
        for j in range(0, columns, width):
            yield slice(i, i + height), slice(j, min(j + width, columns))


def by_halves(of: Callable[[Array], T], join: Callable[[T, T], T], values: Array) -> T:
    """Return `of` blocks along the last axis, joined; sums equal NumPy's to the last bit.

    NumPy's pairwise summation halves at these places and goes on halving within a block.
    """
    n = values.shape[-1]
    if n <= BLOCK:
        return of(widened(values))
    half = n // 2
    half -= half % 8
    first, second = values[..., :half], values[..., half:]
    return join(by_halves(of, join, first), by_halves(of, join, second))


def spread_of(weight: Array) -> float:
    """Return `weight.std(dtype=np.float64)` to the last bit, without copies of its size."""
    centre = weight.mean(dtype=np.float64)

    def squares(block: Array) -> np.float64:
        distances = np.subtract(block, centre, dtype=np.float64)
        return np.float64(np.square(distances, out=distances).sum())

    total = by_halves(squares, operator.add, weight.ravel("K"))
    return float(np.sqrt(total / weight.size))


def rounded(name: str, weight: Array, scales: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Return weight / scales as `to_int32` does, block by block. scales: one, or one a row."""
    matrix = as_matrix(weight)
    values = np.empty(matrix.shape, np.int32)
    each = np.broadcast_to(np.reshape(scales, (-1, 1)), (len(matrix), 1))
    for rows, columns in tiles(matrix):
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            scaled = widened(matrix[rows, columns]) / each[rows]
            values[rows, columns] = to_int32(name, scaled)
    return values.reshape(weight.shape)


def looked_up(weight: Array, of: Callable[[Array], Array]) -> npt.NDArray[np.int32]:
    """Return `of(weight)` for each weight, computed block by block."""
    values = np.empty(weight.size, np.int32)
    begin = 0
    for part in parts(weight.reshape(-1)):
        values[begin : begin + part.size] = of(part)
        begin += part.size
    return values.reshape(weight.shape)


def to_int32(name: str, scaled: Array) -> npt.NDArray[np.int32]:
    """Return weight / step size rounded, ties to even. Raise Unencodable over 2^31."""
    integers = np.rint(scaled)
    if integers.size and not np.abs(integers).max() < 2**31:
        raise Unencodable(
            f"{name}: the step size is too fine: |weight| / step is over 2^31; take a larger step"
        )
    return integers.astype(np.int32)
