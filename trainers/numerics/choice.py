"""Kernels that choose integers for error and code length together, weight by weight.

A weight may become the nearest integer, one and two towards zero from there, and zero: a longer
code never pays for a larger error, and codes grow longer away from zero. The first of equally cheap
ones counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Float32s, Float64s
from slashbench.compiled import brief, kernel


@kernel
def _towards_zero(integer: Any) -> Any:
    """Return the neighbour of an integer on the side of zero, or zero."""
    return integer - np.sign(integer)


@kernel
def _bits(integer: Any, table: Any, low: int) -> Any:
    """Return the code length of an integer. table: of integers from `low` on."""
    return table[min(max(np.int64(integer) - low, 0), len(table) - 1)]


@kernel
def improve(
    scaled: Float32s,
    best: Float32s,
    importance: Float32s,
    lam: np.float32,
    table: Float32s,
    low: int,
) -> bool:
    """Put cheaper candidates into `best`; return whether any was.

    An integer k costs  importance (scaled - k)^2 + lam bits(k).

    Parameters
    ----------
    scaled, best
        Weights in step sizes, and the integers that they are now, (rows, columns).
    importance
        Of a row's errors, (rows,).
    lam
        Squared step sizes that a bit is worth.
    table, low
        Code lengths of the integers from `low` on.
    """
    changed = False
    for row in range(scaled.shape[0]):
        for column in range(scaled.shape[1]):
            value = scaled[row, column]
            now = best[row, column]
            error = value - now
            cost = importance[row] * (error * error) + lam * _bits(now, table, low)
            other = np.float32(np.rint(value))
            for turn in range(4):
                if turn == 3:
                    other = np.float32(0)
                elif turn:
                    other = _towards_zero(other)
                error = value - other
                price = importance[row] * (error * error) + lam * _bits(other, table, low)
                if price < cost:
                    cost = price
                    best[row, column] = other
            changed = changed or best[row, column] != now
    return changed


@brief
def cheapest(
    column: Float64s,
    importance: Float32s,
    lam: np.float32,
    table: Float32s,
    low: int,
    result: Float64s,
) -> None:
    """Write into `result` the cheapest candidate for each weight of a column, as `improve` does."""
    for row in range(len(column)):
        value = column[row]
        other = np.rint(value)
        cost = np.inf
        for turn in range(4):
            if turn == 3:
                other = 0.0
            elif turn:
                other = _towards_zero(other)
            error = value - other
            price = importance[row] * (error * error) + lam * _bits(other, table, low)
            if price < cost:
                cost = price
                result[row] = other
