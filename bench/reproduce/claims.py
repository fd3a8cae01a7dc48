"""Claims, the checks they stand on, and the verdict that follows from them."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slashbench.bench.report.statistics import mean_interval

#: One number for each seed.
Sample = Mapping[int, float]


class ClaimOutcome(enum.Enum):
    """What one check came to."""

    MET = "met"
    MISSED = "missed"
    UNDECIDED = "undecided"  # the interval reaches both sides
    ONE_SEED = "one seed"  # no interval: shown, not counted
    MISSING = "not run"


class Verdict(enum.Enum):
    """What the checks say of a claim."""

    HOLDS = "holds"
    PARTLY = "holds partly"
    NOT_HERE = "does not hold here"
    UNTESTABLE = "can't be tested here"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds and its confidence interval; half_width is None for one seed."""

    mean: float
    half_width: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Check:
    """A quantity that a claim wants above `least` and below `most`.

    exact: it has no noise: one network whose weights are given.
    """

    what: str
    sample: Sample
    least: float = -math.inf
    most: float = math.inf
    exact: bool = False

    @property
    def estimate(self) -> Estimate | None:
        """The mean over seeds, if there is any."""
        return estimate(self.sample, self.exact) if self.sample else None

    @property
    def outcome(self) -> ClaimOutcome:
        """Whether the quantity is where the claim wants it, by its confidence interval."""
        found = self.estimate
        if found is None:
            return ClaimOutcome.MISSING
        if found.half_width is None:
            return ClaimOutcome.ONE_SEED
        low, high = found.mean - found.half_width, found.mean + found.half_width
        if self.least < low and high < self.most:
            return ClaimOutcome.MET
        if high <= self.least or low >= self.most:
            return ClaimOutcome.MISSED
        return ClaimOutcome.UNDECIDED

    @property
    def wanted(self) -> str:
        """The range in words."""
        low, high = f"{self.least:.4g}", f"{self.most:.4g}"
        if self.most == math.inf:
            return f"> {low}"
        return f"< {high}" if self.least == -math.inf else f"{low} to {high}"


@dataclass(frozen=True, slots=True)
class Claim:
    """What the paper says, how it is tested here, and the checks.

    impossible: why there can be no check; empty where there can.
    """

    source: str  # figure or table
    text: str
    criterion: str
    checks: Sequence[Check] = ()
    impossible: str = ""

    @property
    def verdict(self) -> Verdict:
        """All counted checks met: it holds. Some met: partly. Some missed, none met: not here.

        Undecided checks alone can't tell, nor can single seeds.
        """
        if self.impossible:
            return Verdict.UNTESTABLE
        met, missed, undecided = (
            self.count(outcome)
            for outcome in (ClaimOutcome.MET, ClaimOutcome.MISSED, ClaimOutcome.UNDECIDED)
        )
        if met:
            return Verdict.PARTLY if missed or undecided else Verdict.HOLDS
        if missed:
            return Verdict.NOT_HERE
        if undecided or self.count(ClaimOutcome.ONE_SEED):
            return Verdict.UNTESTABLE
        return Verdict.NOT_RUN

    @property
    def because(self) -> str:
        """The verdict's reason: its count of outcomes."""
        if self.impossible:
            return self.impossible
        counts = [f"{self.count(o)} {o.value}" for o in ClaimOutcome if self.count(o)]
        return ", ".join(counts) or "no check"

    def count(self, outcome: ClaimOutcome) -> int:
        """How many checks came to `outcome`."""
        return sum(check.outcome is outcome for check in self.checks)


def estimate(sample: Sample, exact: bool = False) -> Estimate:
    """Return the mean and Student's interval of 95 % over seeds.

    >>> round(estimate({0: 1.0, 1: 2.0, 2: 3.0}).half_width, 3)
    2.484
    """
    values = list(sample.values())
    found = mean_interval(values)
    return Estimate(found.estimate, 0.0 if exact else found.half_width, len(values))


def difference(ours: Sample, theirs: Sample) -> dict[int, float]:
    """ours - theirs, of the seeds that both have."""
    return {seed: ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())}


def ratio(ours: Sample, theirs: Sample) -> dict[int, float]:
    """ours / theirs, of the seeds that both have."""
    return {seed: ours[seed] / theirs[seed] for seed in sorted(ours.keys() & theirs.keys())}
