"""A frequency table of floats from two numbers: a generalised Gaussian on the grid of their bits.

The exponents of trained weights and the higher bits of their mantissas follow from the density of
the weights: within an octave it falls, so small mantissas are the more frequent. A model's cells
are those of `slashbench.codecs.kernels.float_cells`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slashbench.arrays import Float64s, Int64s
from slashbench.codecs.kernels import float_cells as kernels
from slashbench.codecs.kernels.generalised_gaussian import (
    MAX_SCALE,
    MAX_SHAPE,
    SCALE_STEPS,
    SCALE_ZERO,
    SHAPE_STEPS,
    SHAPE_ZERO,
)
from slashbench.errors import CorruptStream

_USUAL_SHAPE = SHAPE_ZERO + 21  # 1.6
_FIRST_STEP, _NEAR_STEP = 8, 2


@dataclass(frozen=True, slots=True)
class Grid:
    """Which bits of a float make a symbol: the exponent in its window, `sub` mantissa bits."""

    sub: int
    subnormal: bool  # whether the window begins with the subnormal numbers

    @property
    def exponents(self) -> int:
        """Exponents in the window."""
        return kernels.CELLS >> self.sub


@dataclass(frozen=True, slots=True)
class FloatModel:
    """Shape and scale as in `GeneralisedGaussian`, the scale above the window's beginning.

    top: the highest exponent of the window that occurs.
    """

    shape: int
    scale: int
    top: int

    def check(self, grid: Grid) -> None:
        """Raises CorruptStream for indices off their grids."""
        if self.shape > MAX_SHAPE or self.scale > MAX_SCALE or self.top >= grid.exponents:
            raise CorruptStream(f"no generalised Gaussian on this grid: {self}")


def frequencies(models: Sequence[FloatModel], grid: Grid) -> Int64s | None:
    """Return the frequencies of the 256 symbols under each model; None if one has none."""
    numbers = [(m.shape, m.scale, ((m.top + 1) << grid.sub) - 1) for m in models]
    found = np.empty((len(models), kernels.CELLS), np.int64)
    listed = np.array(numbers, np.int64)
    fine = kernels.frequencies_of(listed, grid.sub, grid.subnormal, found)
    return found if fine else None


def fit(counts: Any, grid: Grid, near: FloatModel | None = None) -> FloatModel:
    """Fit the model that codes exponents with these counts in the fewest bits, about.

    counts: how often each exponent of the window occurs. near: of a similar distribution.
    """
    weights = np.asarray(counts, np.float64)
    start = rescaled(weights, near or FloatModel(_USUAL_SHAPE, SCALE_ZERO, 0))
    step = _FIRST_STEP if near is None else _NEAR_STEP
    shape, scale = kernels.fit(weights, grid.sub, grid.subnormal, start.shape, start.scale, step)
    return FloatModel(shape, scale, start.top)


def rescaled(counts: Float64s, model: FloatModel) -> FloatModel:
    """Return a model of that shape, its scale from the mean magnitude of these exponents."""
    scale = round(SCALE_ZERO + SCALE_STEPS * (_log2_mean(counts) + _octaves(model.shape)))
    top = int(np.flatnonzero(counts)[-1])
    return FloatModel(model.shape, min(max(scale, 0), MAX_SCALE), top)


def _octaves(shape: int) -> float:
    """From the mean magnitude of a generalised Gaussian up to its scale."""
    power = 2.0 ** ((shape - SHAPE_ZERO) / SHAPE_STEPS)
    return (math.lgamma(1 / power) - math.lgamma(2 / power)) / math.log(2)


def _log2_mean(counts: Float64s) -> float:
    """Base-2 logarithm of the mean magnitude, which is about 1.45 times an octave's lower end."""
    magnitudes = 1.45 * np.exp2(np.arange(counts.size))
    return float(np.log2(counts @ magnitudes / counts.sum()))
