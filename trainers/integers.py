"""From weights to the integers of a grid, and what every quantiser refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from slashbench.errors import Unencodable

Array = npt.NDArray[Any]

BLOCK = 1 << 20  # values


def check_finite(name: str, weight: Array | torch.Tensor) -> None:
    """Raises Unencodable for NaN and infinity."""
    values = torch.as_tensor(weight)
    # the extremes are NaN where any value is, and need no copy
    if values.numel() and not all(torch.isfinite(end) for end in torch.aminmax(values)):
        raise Unencodable(f"{name} holds weights that are not finite: training went wrong")


def float_of_steps(least: float, largest: float) -> torch.dtype:
    """What steps from `least` to `largest` are stored in: float16 where it has all its digits."""
    limits = torch.finfo(torch.float16)
    return torch.float16 if limits.tiny <= least <= largest <= limits.max else torch.float32


def blocks(weight: Array) -> Iterator[slice]:
    """Runs of rows of about a million values: what temporary copies are made of at a time."""
    rows = max(1, BLOCK * len(weight) // max(1, weight.size))
    return (slice(i, i + rows) for i in range(0, len(weight), rows))


def spread_of(weight: Array) -> float:
    """`weight.std(dtype=np.float64)` to the last bit, without copies of its size."""
    centre = weight.mean(dtype=np.float64)
    total = _squares(weight.ravel("K"), centre)
    return float(np.sqrt(total / weight.size))


def _squares(flat: Array, centre: np.float64) -> np.float64:
    """Sum of the squared distances, halved where NumPy's pairwise summation halves."""
    if flat.size > BLOCK:
        half = flat.size // 2
        half -= half % 8
        return _squares(flat[:half], centre) + _squares(flat[half:], centre)
    distances = np.subtract(flat, centre, dtype=np.float64)
    return np.float64(np.square(distances, out=distances).sum())


def rounded(name: str, weight: Array, steps: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """weight / steps as `to_int32` has it, block by block. steps: a scalar, or one a row."""
    values = np.empty(weight.shape, np.int32)
    rows, out = np.atleast_1d(weight), np.atleast_1d(values)
    column = (-1, *[1] * (rows.ndim - 1))
    each = np.broadcast_to(np.reshape(steps, column), (len(rows), *column[1:]))
    for block in blocks(rows):
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            out[block] = to_int32(name, rows[block] / each[block])
    return values


def to_int32(name: str, scaled: Array) -> npt.NDArray[np.int32]:
    """weight / step rounded to integers, ties to the even one. Raises Unencodable over 2^31."""
    integers = np.rint(scaled)
    if integers.size and not np.abs(integers).max() < 2**31:
        raise Unencodable(f"{name}: the step is too fine, |weight| / step is over 2^31")
    return integers.astype(np.int32)
