"""Round to nearest (RTN) with a fixed number of bits; scales are searched."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from slashbench import validate
from slashbench.arrays import Array
from slashbench.contracts import BlockwiseQuantiser, RowBlocks
from slashbench.errors import BadSetting
from slashbench.grid import ChannelScales, Grid, TensorScale
from slashbench.trainers.numerics.integers import (
    as_matrix,
    by_halves,
    check_finite,
    float_of_scales,
    tiles,
)
from slashbench.trainers.quantisers.quantize import Scope

Granularity = Literal["tensor", "channel", "group"]


#: Where the grid ends, as shares of the largest magnitude: 1 loses no weight to clipping, less
#: makes the scale finer for the many. 41 clips from 0.2 to 1 find the least error within about 1 %.
CLIPS = np.linspace(1.0, 0.2, 41)


class RoundToNearest(BlockwiseQuantiser):
    """Round to `bits` bits with the scale of least squared error (clip searched).

    Integers are symmetric, -(2^(bits-1) - 1) to 2^(bits-1) - 1, so that zero is exact. Each scale
    is the best of 41, which clip at the largest magnitude or at as little as a fifth of it.

    Parameters
    ----------
    granularity : {"tensor", "channel", "group"}
        What has a scale of its own: the tensor, a channel (all that shares the first index), or a
        group of columns in a channel, as 4-bit formats have it.
    bits : int
        From 2 to 16.
    size : int
        Columns of a group at most; the groups of a channel are of like size.
    scope : {"matrices", "all"}
        `matrices` keeps vectors in their native dtype.

    References
    ----------
    Round-to-nearest (RTN) with symmetric scales, the baseline of Frantar, Ashkboos, Hoefler &
    Alistarh, GPTQ, arXiv 2210.17323, section 5.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("granularity", "bits")

    def __init__(
        self,
        granularity: Granularity = "channel",
        bits: int = 8,
        size: int = 128,
        scope: Scope = "matrices",
    ) -> None:
        validate.choice(Granularity, granularity=granularity)
        validate.choice(Scope, scope=scope)
        validate.within(2, 16, bits=bits)
        validate.at_least(1, size=size)
        if size != 128 and granularity != "group":
            raise BadSetting(f"size={size} is that of groups: add granularity=group")
        self.granularity, self.bits, self.size, self.scope = granularity, bits, size, scope

    def in_blocks(self, name: str, weight: Array) -> RowBlocks | None:
        """Return int32 and their scales. Raise Unencodable for weights that are not finite."""
        if self.scope == "matrices" and weight.ndim < 2:
            return None
        check_finite(name, weight)
        if not weight.size:
            return RowBlocks(weight.astype(np.int32), TensorScale(1.0))
        matrix = self._matrix(weight)
        size = self._group_size(matrix.shape[1])
        scales = searched_scales(matrix, size, self.bits)

        def integers(part: Array, rows: slice) -> Array:
            own = scales if len(scales) == 1 else scales[rows]
            return clipped_to(self._matrix(part), own, size, self.bits).reshape(part.shape)

        return RowBlocks(weight, self._grid(scales, weight.ndim), integers)

    def _matrix(self, weight: Array) -> Array:
        """Return the weights in rows, each of which has scales of its own."""
        return weight.reshape(1, -1) if self.granularity == "tensor" else as_matrix(weight)

    def _group_size(self, columns: int) -> int:
        """Return how many neighbours in a row share a scale, as `ChannelScales` cuts groups."""
        if self.granularity != "group":
            return columns
        groups = -(-columns // self.size)
        return -(-columns // groups)

    def _grid(self, scales: Array, ndim: int) -> Grid:
        if self.granularity == "tensor" or not ndim:
            return TensorScale(float(scales[0, 0]))
        return ChannelScales(scales if self.granularity == "group" else scales[:, 0])


def searched_scales(matrix: Array, size: int, bits: int) -> Array:
    """Return the scale of least squared error of each group of `size` columns, (rows, groups).

    float16 where all fit it, else float32. The last group of a row may be smaller.
    """
    largest = np.empty((len(matrix), -(-matrix.shape[1] // size)), np.float32)
    for rows, groups, pieces in _by_group(matrix, size):
        found = by_halves(_magnitudes, np.maximum, pieces)
        largest[rows, groups] = found.reshape(largest[rows, groups].shape)
    coarsest = np.where(largest > 0, largest, np.float32(1)) / (2 ** (bits - 1) - 1)
    kind = float_of_scales(float(coarsest.min()) * CLIPS.min(), float(coarsest.max()))
    scales = np.empty(coarsest.shape, kind)
    for rows, groups, pieces in _by_group(matrix, size):
        found = _best(pieces, coarsest[rows, groups].reshape(-1), scales.dtype, bits)
        scales[rows, groups] = found.reshape(scales[rows, groups].shape)
    return scales


def _by_group(matrix: Array, size: int) -> Iterator[tuple[slice, slice, Array]]:
    """Yield rows and groups of a block, and the groups as rows of a matrix, padded with zeros."""
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
    """Return the scale of least squared error of each row."""
    tried = [(coarsest * clip).astype(dtype) for clip in CLIPS]

    def errors(part: Array) -> Array:
        part = np.asarray(part, np.float32)
        return np.stack([_error(part, scales, coarsest, bits) for scales in tried])

    best, least = np.ones(len(pieces), dtype), np.full(len(pieces), np.inf)
    for scales, error in zip(tried, by_halves(errors, operator.add, pieces), strict=True):
        better = error < least
        best[better], least[better] = scales[better], error[better]
    return best


def _error(pieces: Array, scales: Array, coarsest: Array, bits: int) -> Array:
    """Return each row's squared error in units of its coarsest scale."""
    wide = scales.astype(np.float32)[:, None]
    errors = clipped(pieces, wide, bits)
    errors *= wide
    errors -= pieces
    errors /= coarsest[:, None]
    total: Array = np.square(errors, out=errors).sum(axis=1)
    return total


def clipped_to(matrix: Array, scales: Array, size: int, bits: int) -> npt.NDArray[np.int32]:
    """Return the integers of a matrix whose groups of `size` columns have these scales."""
    values = np.empty(matrix.shape, np.int32)
    for rows, columns in tiles(matrix, size if scales.shape[1] > 1 else 1):
        own = scales[rows, columns.start // size : -(-columns.stop // size)].astype(np.float32)
        wide = own if own.shape[1] == 1 else np.repeat(own, size, axis=1)
        block = np.asarray(matrix[rows, columns], np.float32)
        values[rows, columns] = clipped(block, wide[:, : block.shape[1]], bits)
    return values


def clipped(weights: Array, scales: Array, bits: int) -> Array:
    """Return whole numbers in float32, ties to even, within the range of `bits` bits."""
    limit = 2 ** (bits - 1) - 1
    numbers = weights / scales
    np.rint(numbers, out=numbers)
    clip: Array = np.clip(numbers, -limit, limit, out=numbers)
    return clip
