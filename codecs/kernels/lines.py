"""Lines of a matrix: magnitudes counted along rows and columns, and columns moved about."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slashbench.codecs.kernels import kernel

Matrix = npt.NDArray[Any]  # integers
Integers = npt.NDArray[np.int64]


@kernel
def tally(matrix: Matrix, by_row: Matrix, by_column: Matrix) -> None:
    """Add 1 to by_row[i, m] and by_column[j, m] for each magnitude m = |matrix[i, j]|.

    Both have `beyond` + 1 places a line; the last one takes all magnitudes from `beyond` on.
    """
    beyond = by_row.shape[1] - 1
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            place = min(abs(np.int64(matrix[i, j])), beyond)
            by_row[i, place] += 1
            by_column[j, place] += 1


@kernel
def gather(matrix: Matrix, columns: Integers, out: Matrix) -> None:
    """The columns in that order, one row after the other; out has rows * len(columns) places."""
    place, n = 0, matrix.shape[1]
    for i in range(matrix.shape[0]):
        for j in columns:
            if 0 <= j < n and place < out.size:
                out[place] = matrix[i, j]
            place += 1


@kernel
def scatter(symbols: Matrix, columns: Integers, matrix: Matrix) -> None:
    """The inverse of `gather`."""
    place, n = 0, matrix.shape[1]
    for i in range(matrix.shape[0]):
        for j in columns:
            if 0 <= j < n and place < symbols.size:
                matrix[i, j] = symbols[place]
            place += 1
