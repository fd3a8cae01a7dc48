"""Intervals and ranks against scipy, published examples and what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from slashbench.bench.report.analysis.bd_rate import Curve, bd_rate
from slashbench.bench.report.statistics import (
    Interval,
    Place,
    draws,
    interval,
    mean_interval,
    rank,
)

#: Student (1908), "The probable error of a mean": hours of sleep gained under two drugs.
SLEEP_A = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_B = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_the_range_of_a_mean_is_students() -> None:
    """Its published 95 % range is 0.700 to 2.460."""
    differences = np.subtract(SLEEP_B, SLEEP_A)
    found = mean_interval(differences.tolist())
    expected = stats.ttest_rel(SLEEP_B, SLEEP_A).confidence_interval()
    assert found.estimate == pytest.approx(1.58)
    assert found.low == pytest.approx(expected.low, abs=0.05)
    assert found.high == pytest.approx(expected.high, abs=0.05)


def test_the_error_of_a_resampled_statistic_is_scipys() -> None:
    values = np.random.default_rng(3).lognormal(size=40)
    ours = interval(float(np.mean(values)), draws(40) @ values, 40)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, rng=1).standard_error
    assert ours.high is not None
    reach = ours.high - ours.estimate
    assert reach == pytest.approx(stats.t.ppf(0.975, 39) * theirs * np.sqrt(40 / 39), rel=0.05)


@pytest.mark.parametrize("clusters", [3, 5, 10])
def test_ranges_hold_the_truth_as_often_as_they_say(clusters: int) -> None:
    rng = np.random.default_rng(clusters)
    hits = 0
    for _ in range(400):
        found = mean_interval(rng.normal(1.0, 1.0, clusters).tolist())
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 1.0 <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_one_cluster_has_no_range_and_clusters_alike_have_no_width() -> None:
    assert mean_interval([2.0]) == Interval(2.0)
    for value, times in ((0.1, 3), (-0.07, 7), (-50.0, 2), (-50.0, 4)):
        found = mean_interval([value] * times)
        assert found == Interval(pytest.approx(value), found.estimate, found.estimate)


def test_what_always_differs_alike_is_apart() -> None:
    assert rank(np.array([[0.1, 0.2], [0.3, 0.4], [0.7, 0.8]])).places == [Place(1, 1), Place(2, 2)]


@pytest.mark.parametrize("clusters", [3, 7])
def test_equals_are_seldom_told_apart(clusters: int) -> None:
    """At most one board in twenty may order contestants that are all alike."""
    rng = np.random.default_rng(clusters)
    wrong = sum(
        any(place != Place(1, 12) for place in rank(rng.normal(size=(clusters, 12))).places)
        for _ in range(300)
    )
    assert wrong <= 0.075 * 300


def test_what_differs_is_told_apart_and_neighbours_may_tie() -> None:
    rng = np.random.default_rng(0)
    models = rng.normal(0, 5, size=(6, 1))  # models differ far more than codecs: pairs don't care
    scores = models + np.array([0.0, 0.0, 1.0, 2.0]) + rng.normal(0, 0.02, size=(6, 4))
    assert rank(scores).places == [Place(1, 2), Place(1, 2), Place(3, 3), Place(4, 4)]
    found = rank(scores).resolvable
    assert found is not None
    assert 0.02 < found < 0.2


def test_holm_is_that_of_the_textbook() -> None:
    """Each pair of three against statsmodels' step-down by hand, on Student's p values."""
    scores = np.array([[0, 1.0, 5], [0, 1.2, 5.1], [0, 0.9, 4.7], [0, 1.4, 5.6]])
    pairs = [(0, 1), (0, 2), (1, 2)]
    chances = sorted(stats.ttest_rel(scores[:, a], scores[:, b]).pvalue for a, b in pairs)
    assert all(p <= 0.05 / (3 - i) for i, p in enumerate(chances))
    assert rank(scores).places == [Place(1, 1), Place(2, 2), Place(3, 3)]


def test_one_cluster_tells_nothing_apart() -> None:
    assert rank(np.array([[1.0, 2.0]])).places == [Place(1, 2), Place(1, 2)]


class TestBdRate:
    line = Curve([1, 2, 4, 8, 16], [30, 33, 36, 39, 42])

    @pytest.mark.parametrize("factor", [0.5, 0.9, 1.25])
    def test_a_constant_ratio_is_found(self, factor: float) -> None:
        other = Curve([factor * rate for rate in self.line.rates], self.line.qualities)
        found = bd_rate(self.line, other)
        assert not isinstance(found, str)
        assert found == pytest.approx(factor - 1, abs=1e-3)

    def test_curves_that_share_little_are_refused(self) -> None:
        other = Curve(self.line.rates, [q + 9 for q in self.line.qualities])
        assert bd_rate(self.line, other) == "the curves share 25 % of the quality range"

    def test_three_points_are_too_few(self) -> None:
        short = Curve([1, 2, 4], [30, 33, 36])
        assert "its curve has 3 rising points of 4" in str(bd_rate(self.line, short))

    def test_points_that_fall_back_do_not_count(self) -> None:
        noisy = Curve([1, 2, 4, 8], [30, 36, 33, 35])
        assert "(2 of 4 fall back)" in str(bd_rate(self.line, noisy))
