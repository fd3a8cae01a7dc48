"""Lines of a matrix: magnitudes counted along rows and columns, and columns moved about."""

from __future__ import annotations

import numpy as np

from slashbench.arrays import Int64s, Integers
from slashbench.codecs.kernels import kernel


@kernel
def tally(matrix: Integers, by_row: Integers, by_column: Integers) -> None:
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
def gather(matrix: Integers, columns: Int64s, out: Integers) -> None:
    """The columns in that order, one row after the other; out has rows * len(columns) places."""
    place, n = 0, matrix.shape[1]
    for i in range(matrix.shape[0]):
        for j in columns:
            if 0 <= j < n and place < out.size:
                out[place] = matrix[i, j]
            place += 1


@kernel
def scatter(symbols: Integers, columns: Int64s, matrix: Integers) -> None:
    """Undo `gather`."""
    place, n = 0, matrix.shape[1]
    for i in range(matrix.shape[0]):
        for j in columns:
            if 0 <= j < n and place < symbols.size:
                matrix[i, j] = symbols[place]
            place += 1
