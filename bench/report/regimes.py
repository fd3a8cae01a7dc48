"""Regimes next to plain training: the curve of each over its quantisers, and what it saves."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from slashbench.bench.report import equal_accuracy
from slashbench.bench.report.bd_rate import Curve, bd_rate
from slashbench.bench.report.equal_accuracy import Allowance
from slashbench.bench.report.lines import Line
from slashbench.bench.report.rows import Row
from slashbench.bench.report.statistics import Interval, mean_interval

PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Regime:
    """All recipes of one model that differ only in their quantiser and codec."""

    model: str
    chain: str  # the links before the quantiser
    lines: Sequence[Line]  # each quantiser's smallest

    @property
    def curve(self) -> Curve:
        """Bits per parameter against quality, means over seeds."""
        return _curve([line.rows for line in self.lines])

    def curves(self) -> dict[int, Curve]:
        """The same for each seed that all its quantisers have."""
        seeds = set.intersection(*({row.seed for row in line.rows} for line in self.lines))
        return {
            seed: _curve([[row for row in line.rows if row.seed == seed] for line in self.lines])
            for seed in sorted(seeds)
        }

    def smallest(self, allowance: Allowance | None) -> Line | str:
        """Its smallest line within the allowance, or why there is none."""
        return equal_accuracy.smallest_kept(self.lines, allowance)


def regimes(model: str, lines: Sequence[Line]) -> list[Regime]:
    """The regimes of a model, plain first; lossless recipes are points of no curve."""
    found: dict[str, dict[str, Line]] = {}
    for line in lines:
        chain, _, quantiser = line.first.recipe.rpartition("+")
        if quantiser.startswith("native"):
            continue
        best = found.setdefault(chain, {})
        if quantiser not in best or line.bits < best[quantiser].bits:
            best[quantiser] = line
    made = [Regime(model, chain, list(best.values())) for chain, best in found.items()]
    return sorted(made, key=lambda regime: (regime.chain != PLAIN, regime.chain))


def bd_rate_to(plain: Regime, other: Regime) -> Interval | str:
    """Share of bits that `other` takes over plain at equal quality, over seeds; or why not."""
    whole = bd_rate(plain.curve, other.curve)
    if isinstance(whole, str):
        return whole
    anchors, tests = plain.curves(), other.curves()
    each = [bd_rate(anchors[seed], tests[seed]) for seed in anchors if seed in tests]
    numbers = [rate for rate in each if not isinstance(rate, str)]
    if len(numbers) < 2 or len(numbers) < len(each):
        return Interval(whole)
    return mean_interval(numbers)


def _curve(points: Sequence[Sequence[Row]]) -> Curve:
    known = [rows for rows in points if rows and all(_quality(row) is not None for row in rows)]
    return Curve(
        [statistics.fmean(row.bits_per_parameter or 0.0 for row in rows) for rows in known],
        [statistics.fmean(_quality(row) or 0.0 for row in rows) for rows in known],
    )


def _quality(row: Row) -> float | None:
    """Negative log-likelihood where there is one, which is smoother than accuracy; else the metric.

    The sign makes higher better.
    """
    if row.nll is not None:
        return -row.nll
    if row.value is None:
        return None
    return row.value if row.higher_is_better else -row.value
