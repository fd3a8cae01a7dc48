"""Classes of rows and of columns that add up: which lines of a matrix are how wide.

The magnitudes at (i, j) follow the table of the sum of row i's class and column j's class, so the
two scales multiply. An encoder improves the tables, the rows' classes and the columns' in turn, for
the fewest bits with those that name the classes (entropy-constrained clustering: P. Chou, T.
Lookabaugh and R. Gray, IEEE Trans. ASSP 37(1), 1989).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slashbench.arrays import Bytes, Float64s, Int64s, Integers
from slashbench.codecs.kernels import tilted as kernels
from slashbench.codecs.modelling import tilted_tables
from slashbench.codecs.modelling.tilted_tables import TiltedFit, TiltedTables

_STEP = 0.25  # of a scale between neighbouring classes, in octaves
_FAINT = 2.0**-7  # the least mean magnitude that is told from less
_ROUNDS = 3
_EXCEPTION_BITS = 28.0
_ENTRY_BITS = 7  # of a base or a tilt, about


@dataclass(frozen=True, slots=True)
class LineClasses:
    """Classes of a matrix's lines, the tables of their sums, and about how many bits it all is.

    rows, columns: from 0 without gaps at the top.
    """

    rows: Int64s
    columns: Int64s
    tables: TiltedTables
    bits: float


def whole(matrix: Integers, reach: int, states: int, bits: int) -> LineClasses:
    """Return the model with one class of rows and of columns."""
    n_rows, n_columns = matrix.shape
    rows, columns = np.zeros(n_rows, np.int64), np.zeros(n_columns, np.int64)
    return _improved(matrix, rows, columns, reach, states, bits, rounds=0)


def find(matrix: Integers, reach: int, states: int, bits: int, most: int) -> LineClasses:
    """Return the best model found: up to `most` classes each way, or twice as many one way."""
    by_row, by_column = _scales(matrix)
    rows, columns = np.zeros(by_row.size, np.int64), np.zeros(by_column.size, np.int64)
    starts = [
        (_evenly(by_row, most), _evenly(by_column, most), _ROUNDS),
        (_alike(by_row, 2 * most), columns, 2),
        (rows, _alike(by_column, 2 * most), 2),
    ]
    found = [
        _improved(matrix, some_rows, some_columns, reach, states, bits, rounds)
        for some_rows, some_columns, rounds in starts
    ]
    return min(found, key=lambda one: one.bits)


def _scales(matrix: Integers) -> tuple[Float64s, Float64s]:
    """Base-2 logarithms of the scales of rows and of columns, by their mean magnitudes in turn."""
    sizes = np.abs(matrix.astype(np.float32))
    rows = np.ones(matrix.shape[0], np.float32)
    columns = np.ones(matrix.shape[1], np.float32)
    for _ in range(3):
        rows = np.maximum(sizes @ (1 / columns) / columns.size, np.float32(_FAINT))
        columns = np.maximum((1 / rows) @ sizes / rows.size, np.float32(_FAINT))
    return np.log2(rows.astype(np.float64)), np.log2(columns.astype(np.float64))


def _evenly(scales: Float64s, most: int) -> Int64s:
    """Classes at even distances of the scale, which add up with those across."""
    low, middle, high = np.quantile(scales, (0.005, 0.5, 0.995))
    step = max(_STEP, float(high - low) / (most - 1))
    below = np.rint((low - middle) / step)
    places = np.clip(np.rint((scales - middle) / step) - below, 0, most - 1).astype(np.int64)
    return _without_gaps(places)


def _alike(scales: Float64s, most: int) -> Int64s:
    """Classes of as many lines each, in the order of their scales."""
    order = np.argsort(scales, kind="stable")
    edges = np.arange(most) * scales.size // most
    places = np.empty(scales.size, np.int64)
    places[order] = np.searchsorted(edges, np.arange(scales.size), "right") - 1
    return places


def _without_gaps(labels: Int64s) -> Int64s:
    """From 0 on."""
    lowest: Int64s = labels - labels.min()
    return lowest


def _improved(
    matrix: Integers,
    rows: Int64s,
    columns: Int64s,
    reach: int,
    states: int,
    bits: int,
    rounds: int,
) -> LineClasses:
    successors, _ = tilted_tables.machine(states)
    fitted: TiltedFit | None = None
    for turn in range(rounds + 1):
        n_rows, n_columns = int(rows.max()) + 1, int(columns.max()) + 1
        counts = np.zeros((n_rows + n_columns - 1, states, reach + 2), np.int64)
        kernels.tally(matrix, rows, columns, successors, counts)
        inside = counts[:, :, :-1]
        if fitted is None:
            powers = tilted_tables.HALVES if len(counts) > 1 else tilted_tables.HALVES[:1]
            fits = [TiltedFit.to(inside, halves, 8) for halves in powers]
            fitted = min(fits, key=lambda one: float((inside * one.bits(bits)).sum()))
        elif fitted.tilts.size != len(counts):
            fitted = TiltedFit.to(inside, fitted.halves, 8)
        else:
            fitted = fitted.improved(inside, 3)
        costs = np.full(counts.shape, _EXCEPTION_BITS)
        costs[:, :, :-1] = fitted.bits(bits)
        if turn == rounds:
            break
        if n_rows > 1:
            rows = _assigned(matrix, rows, columns, True, successors, costs, n_rows)
        if n_columns > 1:
            columns = _assigned(matrix, columns, rows, False, successors, costs, n_columns)
    assert fitted is not None  # of the last turn
    spent = float((counts * costs).sum())
    spent += _label_bits(rows) + _label_bits(columns)
    n_entries = sum(found.size for found in tilted_tables.magnitudes(states, reach))
    spent += _ENTRY_BITS * (n_entries + counts.shape[0])
    return LineClasses(rows, columns, fitted.on_grid(), spent)


def _assigned(
    matrix: Integers,
    labels: Int64s,
    across: Int64s,
    by_row: bool,
    successors: Bytes,
    costs: Float64s,
    n_classes: int,
) -> Int64s:
    """Return the class of least bits for each line, those that name it included."""
    n_across = int(across.max()) + 1
    of_sums = np.full((n_across, *costs.shape[1:], kernels.WIDE), 1e6, np.float32)
    for other in range(n_across):
        of_sums[other, :, :, :n_classes] = np.moveaxis(costs[other : other + n_classes], 0, -1)
    spent = np.zeros((labels.size, kernels.WIDE), np.float32)
    kernels.prices(matrix, across, by_row, successors, of_sums, spent)
    seen = np.bincount(labels, minlength=n_classes) + 0.4
    return _without_gaps((spent[:, :n_classes] - np.log2(seen / seen.sum())).argmin(1))


def _label_bits(labels: Int64s) -> float:
    counts = np.bincount(labels)
    present = counts[counts > 0]
    if present.size < 2:
        return 0.0
    entropy = float(labels.size * np.log2(labels.size) - present @ np.log2(present))
    return entropy + 0.5 * present.size * float(np.log2(labels.size)) + 32
