"""The limit: the fewest bits at which weights can be coded, by reverse water-filling.

Weights are taken as Gaussian and the rise of the metric as quadratic. Giving up a direction raises
it by v / 2; coding it to a remaining share costs half the log2 of the inverse share. The cheapest
way to a rise of D leaves each direction min(theta, v), with the sum of those over 2 equal to D
(Cover & Thomas, Elements of Information Theory, section 10.3.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from slashbench.arrays import Float64s
from slashbench.record import PER_OCTAVE, LimitRecord, MatrixSpectrum

#: Bits of a Gaussian at which the gap between the best scalar quantiser with an ideal entropy coder
#: and Shannon's bound is known, and that gap; the last is half of log2(2 pi e / 12).
_RATES = np.array([0.0, 0.25, 0.5, 1.0, 1.5, 2.0])
_GAPS = np.array([0.0, 0.07, 0.14, 0.23, 0.25, 0.2546])


@dataclass(frozen=True, slots=True)
class MatrixLimit:
    """One matrix where the whole model is at its limit: bits a weight."""

    spectrum: MatrixSpectrum
    bits: float
    scalar_bits: float  # the same with a scalar quantiser and an ideal entropy coder


@dataclass(frozen=True, slots=True)
class Limit:
    """The fewest bits a parameter for some loss; tensors that are kept count as they are."""

    bits: float
    scalar_bits: float
    matrices: list[MatrixLimit]


def at_loss(record: LimitRecord, loss: float) -> Limit:
    """Return the limit for a rise of the metric by `loss`, above 0."""
    level = water_level(record.matrices, 2.0 * loss)
    found = [_at_level(matrix, level) for matrix in record.matrices]
    bits = sum(m.bits * m.spectrum.n for m in found) + record.kept_bits
    scalar = sum(m.scalar_bits * m.spectrum.n for m in found) + record.kept_bits
    return Limit(bits / record.n_parameters, scalar / record.n_parameters, found)


def water_level(matrices: Iterable[MatrixSpectrum], wanted: float) -> float:
    """Return theta, at which the sum of min(theta, v) over all directions is `wanted`."""
    parts = [_directions(matrix) for matrix in matrices]
    values, counts = np.concatenate([np.empty((2, 0)), *parts], axis=1)
    if not counts.sum() or (values * counts).sum() <= wanted:
        return float("inf")
    low, high = wanted / counts.sum() / 2, values.max()
    for _ in range(100):  # the sum grows with theta
        middle = float(np.sqrt(low * high))
        if (np.minimum(middle, values) * counts).sum() < wanted:
            low = middle
        else:
            high = middle
    return float(np.sqrt(low * high))


def _at_level(matrix: MatrixSpectrum, level: float) -> MatrixLimit:
    values, counts = _directions(matrix)
    rates = 0.5 * np.log2(np.maximum(values / level, 1.0))
    gaps = np.interp(rates, _RATES, _GAPS)
    n = max(matrix.n, 1)
    bits, gap = float((rates * counts).sum()) / n, float((gaps * counts).sum()) / n
    return MatrixLimit(matrix, bits, bits + gap)


def _directions(matrix: MatrixSpectrum) -> tuple[Float64s, Float64s]:
    """Return v in the middle of each part of an octave, and how many directions are there."""
    counts = np.array(matrix.counts, np.float64)
    logs = matrix.low + (np.arange(len(counts)) + 0.5) / PER_OCTAVE
    return np.exp2(logs), counts
