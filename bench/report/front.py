"""The Pareto front over size, metric and time to decode, as far as the data can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from slashbench.bench.report.lines import Line
from slashbench.bench.report.statistics import LEVEL

CLOCK = 0.05  # share of a decoding time that is noise: below it two are as fast


@dataclass(frozen=True, slots=True)
class Point:
    """A line by what is to be small, each with its standard error."""

    line: Line
    costs: tuple[float, float, float]  # bits per parameter, loss, seconds per parameter decoded
    errors: tuple[float, float, float]


def points(lines: Sequence[Line]) -> list[Point]:
    """Lines whose size, loss and time to decode are all known."""
    found = []
    for line in lines:
        loss, speed = line.loss, line.mean(lambda row: row.decode_mparams_s)
        if loss is None or not speed:
            continue
        seconds = 1 / speed
        relative = 1.0 if line.first.higher_is_better else line.first.baseline or 1.0
        errors = (
            line.bits_stderr or 0.0,
            (line.delta_stderr or 0.0) / relative,
            CLOCK * seconds,
        )
        found.append(Point(line, (line.bits, loss, seconds), errors))
    return found


def front(candidates: Sequence[Point]) -> list[Point]:
    """Those that none other beats: as good in all three, and surely better in one.

    Surely: by more than noise explains at `LEVEL`, the errors of the two taken as independent,
    which keeps rather too many than too few.
    """
    if not candidates:
        return []
    costs = np.array([point.costs for point in candidates])
    variances = np.square([point.errors for point in candidates])
    reach = float(special.ndtri((1 + LEVEL) / 2))
    kept = []
    for i, point in enumerate(candidates):
        ahead = costs[i] - costs  # how far each other one is better
        surely = ahead > reach * np.sqrt(variances + variances[i])
        beaten = (ahead >= 0).all(axis=1) & surely.any(axis=1)
        if not beaten.any():
            kept.append(point)
    return kept
