"""Scales of rows for few bits behind an entropy coder, from the weights alone."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from slashbench import validate
from slashbench.arrays import Array
from slashbench.contracts import BlockwiseQuantiser, RowBlocks
from slashbench.grid import ChannelScales, TensorScale
from slashbench.trainers.numerics.integers import (
    as_matrix,
    by_halves,
    check_finite,
    float_of_scales,
    rounded,
)
from slashbench.trainers.quantisers.quantize import Scope

#: Step sizes that are tried, over a row's mean magnitude: eight an octave.
CANDIDATES = 2.0 ** (np.arange(-6 * 8, 4 * 8 + 1) / 8)


class EntQuant(BlockwiseQuantiser):
    """Round with the step size of each row that makes error + lam magnitude smallest; no data.

    Minimises, for each matrix, the sum of errors' magnitudes over that of the weights, plus lam
    times the mean magnitude of the integers, which stands for their code length. Rows do not depend
    on each other, so the step size of each is searched, eight to an octave, in place of the
    authors' L-BFGS. Nothing is clipped, as an entropy coder follows.

    Parameters
    ----------
    lam : float
        Relative error that one more step of every integer is worth: about 1/64 for 4 bits, four
        times as much for each bit less.
    scope : {"matrices", "all"}
        `matrices` keeps vectors in their native dtype.

    References
    ----------
    EntQuant, ICML 2026, arXiv 2601.22787: its objective. Its formats of 8 bits are not here.
    """

    hint_s: ClassVar[float] = 3.0
    always_spelled: ClassVar[tuple[str, ...]] = ("lam",)

    def __init__(self, lam: float = 2.0**-4, scope: Scope = "matrices") -> None:
        validate.positive(lam=lam)
        validate.choice(Scope, scope=scope)
        self.lam, self.scope = lam, scope

    def in_blocks(self, name: str, weight: Array) -> RowBlocks | None:
        """Return int32 and a scale for each row. Raise Unencodable for weights not finite."""
        if self.scope == "matrices" and weight.ndim < 2:
            return None
        check_finite(name, weight)
        if not weight.size:
            return RowBlocks(weight.astype(np.int32), TensorScale(1.0))
        rows = as_matrix(weight)
        magnitudes = np.array([_mean_magnitude(row) for row in rows])
        mean = float(magnitudes.mean()) or 1.0
        sizes = np.array(
            [self._best(row, m, mean) for row, m in zip(rows, magnitudes, strict=True)]
        )
        stored = sizes.astype(float_of_scales(float(sizes.min()), float(sizes.max())))
        exact = stored.astype(np.float64)
        return RowBlocks(
            weight, ChannelScales(stored), lambda part, rows: rounded(name, part, exact[rows])
        )

    def _best(self, row: Array, magnitude: float, mean: float) -> float:
        """Return the step size of least cost for one row; `mean` is the matrix's magnitude."""
        if not magnitude:
            return mean
        sizes = magnitude * CANDIDATES
        costs = [self._cost(row, size, mean) for size in sizes]
        return float(sizes[int(np.argmin(costs))])

    def _cost(self, row: Array, size: float, mean: float) -> float:
        def total(part: Array) -> np.float64:
            places = np.abs(np.asarray(part, np.float64)) / size
            integers = np.rint(places)
            error = size / mean * np.abs(places - integers).sum()
            return np.float64(error + self.lam * integers.sum())

        return float(by_halves(total, np.add, row))


def _mean_magnitude(row: npt.NDArray[np.floating]) -> float:
    def total(part: Array) -> np.float64:
        return np.float64(np.abs(np.asarray(part, np.float64)).sum())

    return float(by_halves(total, np.add, row)) / max(row.size, 1)
