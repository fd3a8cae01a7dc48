"""Verdicts follow from checks, and checks from intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from slashbench.bench.reproduce.claims import (
    Check,
    Claim,
    ClaimOutcome,
    Sample,
    Verdict,
    difference,
    estimate,
    ratio,
)

HIGH: Sample = {0: 2.0, 1: 2.1, 2: 1.9}
LOW: Sample = {0: -2.0, 1: -2.1, 2: -1.9}
WIDE: Sample = {0: 3.0, 1: -2.0, 2: 0.5}
SINGLE: Sample = {0: 2.0}


def claim(*samples: Sample) -> Claim:
    checks = [Check("it", sample, least=0.0) for sample in samples]
    return Claim("Fig. 0", "It is above zero.", "so it is", checks)


def test_the_interval_is_students() -> None:
    values = [1.0, 2.5, 2.0, 4.0, 3.5]
    found = estimate(dict(enumerate(values)))
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert found.half_width is not None
    assert found.mean - found.half_width == pytest.approx(low)
    assert found.mean + found.half_width == pytest.approx(high)


@pytest.mark.parametrize(
    ("sample", "outcome"),
    [
        (HIGH, ClaimOutcome.MET),
        (LOW, ClaimOutcome.MISSED),
        (WIDE, ClaimOutcome.UNDECIDED),
        (SINGLE, ClaimOutcome.ONE_SEED),
        ({}, ClaimOutcome.MISSING),
        ({0: 0.0, 1: 0.0}, ClaimOutcome.MISSED),  # no noise, and not above
    ],
)
def test_outcomes(sample: Sample, outcome: ClaimOutcome) -> None:
    assert Check("it", sample, least=0.0).outcome is outcome


def test_a_range_is_met_inside_and_missed_outside() -> None:
    assert Check("it", HIGH, least=1.0, most=3.0).outcome is ClaimOutcome.MET
    assert Check("it", HIGH, least=-1.0, most=1.0).outcome is ClaimOutcome.MISSED
    assert Check("it", HIGH, most=2.05).outcome is ClaimOutcome.UNDECIDED


def test_given_weights_have_no_noise() -> None:
    assert Check("it", SINGLE, least=0.0, exact=True).outcome is ClaimOutcome.MET
    assert Check("it", SINGLE, least=3.0, exact=True).outcome is ClaimOutcome.MISSED


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        ([HIGH, HIGH], Verdict.HOLDS),
        ([HIGH, {}], Verdict.HOLDS),  # what was not run speaks neither way
        ([HIGH, SINGLE], Verdict.HOLDS),
        ([HIGH, LOW], Verdict.PARTLY),
        ([HIGH, WIDE], Verdict.PARTLY),
        ([LOW, WIDE], Verdict.NOT_HERE),
        ([LOW, SINGLE, {}], Verdict.NOT_HERE),
        ([WIDE, {}], Verdict.UNTESTABLE),
        ([SINGLE], Verdict.UNTESTABLE),
        ([{}, {}], Verdict.NOT_RUN),
        ([], Verdict.NOT_RUN),
    ],
)
def test_verdicts(samples: list[Sample], verdict: Verdict) -> None:
    assert claim(*samples).verdict is verdict


def test_what_can_not_be_checked_says_why() -> None:
    found = Claim("Table 0", "It translates.", "the same data", impossible="no such data here")
    assert found.verdict is Verdict.UNTESTABLE
    assert found.because == "no such data here"


def test_the_reason_counts_outcomes() -> None:
    assert claim(HIGH, HIGH, LOW, WIDE, SINGLE, {}).because == (
        "2 met, 1 missed, 1 undecided, 1 one seed, 1 not run"
    )


def test_only_seeds_that_both_have_are_paired() -> None:
    assert difference({0: 3.0, 1: 5.0, 2: 9.0}, {1: 1.0, 2: 2.0, 7: 0.0}) == {1: 4.0, 2: 7.0}
    assert ratio({0: 3.0, 1: 5.0}, {1: 2.0}) == {1: 2.5}
