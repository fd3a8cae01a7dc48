"""Ties: which contestants share a rank, and what boards and page say of it.

The size of a file is exact. Two codecs that wrote the same integers differ by so many bytes and no
noise stands between them: `exact_places` orders them as they are. The clock of one machine is
noisy: `places` orders what was timed in paired rounds, all pairs of a board held to one level by
Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from slashbench.arrays import Float64s
from slashbench.bench.report.statistics import LEVEL, ROUNDING, alike

MEDIAN = math.sqrt(math.pi / 2)  # standard error of a median over that of a mean, normal noise
CLOCK = 0.05  # share of a time that is noise: below it two are as fast

#: What the board of sizes says.
OF_SIZES = "sizes are exact, so ranks follow from them without a test; only equal sizes share one"

#: What the board of speeds says.
OF_SPEEDS = (
    "Codecs share a rank if the rounds can't tell them apart (95 % over all pairs, Holm) or they "
    f"are within {100 * CLOCK:.0f} %"
)


@dataclass(frozen=True, slots=True)
class Rank:
    """A rank, or the ranks from `first` to `last` that contestants share."""

    first: int  # 1 + the number of contestants that are better
    last: int  # the number of contestants that are not worse


def exact_places(values: Sequence[float]) -> list[Rank]:
    """Rank numbers without noise, lowest first. Only equal ones share a rank.

    Examples
    --------
    >>> [(place.first, place.last) for place in exact_places([7.0, 5.0, 7.0])]
    [(2, 3), (1, 1), (2, 3)]
    """
    margins = [ROUNDING * abs(value) for value in values]
    return [
        Rank(
            1 + sum(other < value - margin for other in values),
            sum(other <= value + margin for other in values),
        )
        for value, margin in zip(values, margins, strict=True)
    ]


def places(times: Sequence[Float64s], margin: float = 0.0, level: float = LEVEL) -> list[Rank]:
    """Rank contestants that were timed in the same rounds, fastest first.

    Parameters
    ----------
    times
        One array a cell, of shape (rounds, contestants): logarithms of times. Contestants are
        paired within a round. Cells are given, not drawn: only rounds are noise.
    margin
        Difference of logarithms below which two are as fast, whatever the rounds say.
    level
        One minus the risk that any two that are alike are told apart.
    """
    contestants = times[0].shape[1]
    first, second = np.triu_indices(contestants, 1)
    if not len(first):
        return [Rank(1, 1)] * contestants
    pairs = [rounds[:, first] - rounds[:, second] for rounds in times]
    estimates = np.mean([np.median(rounds, axis=0) for rounds in pairs], axis=0)
    errors = np.sqrt(sum(np.square(_errors(rounds)) for rounds in pairs)) / len(pairs)
    freedom = sum(len(rounds) - 1 for rounds in pairs)
    with np.errstate(divide="ignore", invalid="ignore"):
        chances = 2 * special.stdtr(max(freedom, 1), -np.abs(estimates / errors))
    apart = holm(np.where(estimates == 0, 1.0, chances), 1 - level)
    apart &= np.abs(estimates) > margin
    better = np.zeros((contestants, contestants), bool)  # [a, b]: a is faster than b beyond noise
    better[first, second] = apart & (estimates < 0)
    better[second, first] = apart & (estimates > 0)
    return [
        Rank(1 + int(better[:, i].sum()), contestants - int(better[i].sum()))
        for i in range(contestants)
    ]


def holm(chances: Float64s, risk: float) -> npt.NDArray[np.bool_]:
    """Return which hypotheses fall when the risk that any true one falls is at most `risk`."""
    order = np.argsort(chances)
    falls = chances[order] <= risk / np.arange(len(chances), 0, -1)
    fallen = np.zeros(len(chances), bool)
    fallen[order] = np.logical_and.accumulate(falls)
    return fallen


def _errors(rounds: Float64s) -> Float64s:
    """Return the standard error of each column's median; 0 for a single round."""
    if len(rounds) < 2:
        return np.zeros(rounds.shape[1])
    errors: Float64s = MEDIAN * rounds.std(axis=0, ddof=1) / math.sqrt(len(rounds))
    errors[alike(rounds)] = 0.0
    return errors
