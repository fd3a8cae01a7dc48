"""Where the weights of a quantized tensor lie: what turns a codec's integers back into floats.

A grid is side information: a file stores it and its bytes count.
"""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np
import numpy.typing as npt

from slashbench.arrays import Array


def fitted(weights: Array, dtype: npt.DTypeLike) -> Array:
    """Return rebuilt weights in the dtype they had, every one of them finite.

    The last point of a grid may lie beyond the largest number of a dtype (float16: 65504) although
    every weight lay below it; it is rebuilt as that largest number. Everything that rebuilds
    weights calls this, so that a file and a run agree.

    Parameters
    ----------
    weights : ndarray
        float32, as `rebuild` returns them.
    dtype : dtype
        Any float type of NumPy or ml_dtypes.
    """
    if np.dtype(dtype).itemsize >= 4:  # which hold every float32
        return weights.astype(dtype, copy=False)
    largest = float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]
    return np.clip(weights, -largest, largest).astype(dtype)


@dataclass(frozen=True, slots=True)
class TensorScale:
    """weight = integer * scale, one scale for the whole tensor."""

    scale: float

    def rebuild(self, values: Array) -> Array:
        """Return float32 weights in the shape of `values`."""
        return _scaled(values, np.float32(self.scale))


@dataclass(frozen=True, slots=True, eq=False)
class ChannelScales:
    """weight = integer * scale, a scale for each channel or for each group of columns in a channel.

    scales: float16 or float32, shape (rows,) or (rows, groups). A channel (row) is all that shares
    the first index; its columns are cut into groups of equal size, the last of which may be
    shorter. columns: of that dtype too, shape (columns,): further factors, one for each column; not
    beside groups.
    """

    scales: Array
    columns: Array | None = None

    def rebuild(self, values: Array) -> Array:
        """Return float32 weights in the shape of `values`. Raise ValueError if shapes differ."""
        rows = values.reshape(len(values), -1)
        scales = self.scales.astype(np.float32).reshape(len(self.scales), -1)
        if len(rows) != len(scales) or not scales.shape[1]:
            raise ValueError(f"scales of shape {self.scales.shape} for {values.shape} values")
        size = -(-rows.shape[1] // scales.shape[1])
        by_column = np.repeat(scales, size, axis=1)[:, : rows.shape[1]]
        if self.columns is not None:
            if self.columns.shape != rows.shape[1:] or scales.shape[1] != 1:
                raise ValueError(f"{self.columns.size} columns' scales for {values.shape} values")
            by_column = by_column * self.columns.astype(np.float32)
        return _scaled(rows, by_column).reshape(values.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Codebook:
    """weight = levels[integer]: a codebook. levels: float32, shape (n,)."""

    levels: Array

    def rebuild(self, values: Array) -> Array:
        """Return float32 weights in the shape of `values`. Raise ValueError for a bad index."""
        if values.size and not (values.min() >= 0 and values.max() < len(self.levels)):
            raise ValueError(f"an index is outside the codebook of {len(self.levels)} levels")
        return np.asarray(self.levels, np.float32)[values]


Grid = TensorScale | ChannelScales | Codebook


def _scaled(integers: Array, scales: Array | np.float32) -> Array:
    """Return integers * scales in float32; a point beyond its end becomes its largest number."""
    with np.errstate(over="ignore"):
        weights = np.asarray(integers.astype(np.float32) * scales)
    largest = np.finfo(np.float32).max
    return np.clip(weights, -largest, largest, out=weights)
