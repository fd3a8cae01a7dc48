"""Regimes next to plain training: the curve of each over its quantisers, and what it saves."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from slashbench.bench.report.analysis import equal_accuracy
from slashbench.bench.report.analysis.bd_rate import Curve, bd_rate
from slashbench.bench.report.data.rows import PLAIN, Row
from slashbench.bench.report.data.seed_means import Line
from slashbench.bench.report.statistics import Interval, mean_interval

Quality = Callable[[Row], float | None]


@dataclass(frozen=True, slots=True)
class RegimeCurve:
    """All recipes of one model that differ only in their quantiser and codec."""

    model: str
    chain: str  # the links before the quantiser
    lines: Sequence[Line]  # each quantiser's smallest

    @property
    def seeds(self) -> frozenset[int]:
        """The seeds that all its quantisers have."""
        return frozenset.intersection(*(line.seeds for line in self.lines))

    def curve(self, seeds: Iterable[int], quality: Quality) -> Curve:
        """Return bits per parameter against quality, means over some of its seeds."""
        wanted = frozenset(seeds)
        points = [[row for row in line.rows if row.seed in wanted] for line in self.lines]
        known = [rows for rows in points if all(quality(row) is not None for row in rows)]
        return Curve(
            [statistics.fmean(row.bits_per_parameter or 0.0 for row in rows) for rows in known],
            [statistics.fmean(quality(row) or 0.0 for row in rows) for rows in known],
        )

    def smallest(self) -> Line | str:
        """Return its smallest line within the tolerance, or why there is none."""
        return equal_accuracy.smallest_kept(self.lines)


def regimes(model: str, lines: Sequence[Line]) -> list[RegimeCurve]:
    """Return the regimes of a model, plain first."""
    found: dict[str, dict[str, Line]] = {}
    for line in lines:
        chain, quantiser = line.first.chain, line.first.quantiser
        best = found.setdefault(chain, {})
        if quantiser not in best or line.bits < best[quantiser].bits:
            best[quantiser] = line
    made = [RegimeCurve(model, chain, list(best.values())) for chain, best in found.items()]
    return sorted(made, key=lambda regime: (regime.chain != PLAIN, regime.chain))


def bd_rate_to(plain: RegimeCurve, other: RegimeCurve) -> Interval | str:
    """Return the share of bits that `other` takes beyond plain at equal quality, or why not."""
    seeds = sorted(plain.seeds & other.seeds)
    if not seeds:
        return "no seed in common with plain"
    rows = [row for regime in (plain, other) for line in regime.lines for row in line.rows]
    quality = _likelihood if all(row.nll is not None for row in rows) else _metric
    whole = bd_rate(plain.curve(seeds, quality), other.curve(seeds, quality))
    if isinstance(whole, str):
        return whole
    each = [bd_rate(plain.curve([s], quality), other.curve([s], quality)) for s in seeds]
    numbers = [rate for rate in each if not isinstance(rate, str)]
    if len(numbers) < 2 or len(numbers) < len(each):
        return Interval(whole)
    return mean_interval(numbers)


def _likelihood(row: Row) -> float | None:
    """Return the mean log-likelihood, which is smoother than accuracy."""
    return None if row.nll is None else -row.nll


def _metric(row: Row) -> float | None:
    """Return the metric, signed so that higher is better."""
    if row.value is None:
        return None
    return row.value if row.higher_is_better else -row.value
