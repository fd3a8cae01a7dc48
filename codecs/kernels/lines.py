"""Columns of a matrix put back in their places."""

from __future__ import annotations

from slashbench.arrays import Int64s, Integers
from slashbench.codecs.kernels import kernel


@kernel
def scatter(symbols: Integers, columns: Int64s, matrix: Integers) -> None:
    """Take symbols row by row, those of a row in the order of `columns`."""
    place, n = 0, matrix.shape[1]
    for i in range(matrix.shape[0]):
        for j in columns:
            if 0 <= j < n and place < symbols.size:
                matrix[i, j] = symbols[place]
            place += 1
