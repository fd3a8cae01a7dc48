"""Intervals and ranks against scipy, published examples and what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from slashbench.arrays import Float64s
from slashbench.bench.report.analysis.bd_rate import Curve, bd_rate
from slashbench.bench.report.statistics import (
    Interval,
    mean_interval,
    new_value_interval,
    quantile,
)
from slashbench.bench.report.ties import Rank, exact_places, holm, places

#: Student (1908), "The probable error of a mean": hours of sleep gained under two drugs.
SLEEP_A = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_B = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_the_range_of_a_mean_is_students() -> None:
    """Its published 95 % range is 0.700 to 2.460."""
    differences = np.subtract(SLEEP_B, SLEEP_A)
    found = mean_interval(differences.tolist())
    expected = stats.ttest_rel(SLEEP_B, SLEEP_A).confidence_interval()
    assert found.estimate == pytest.approx(1.58)
    assert found.low == pytest.approx(expected.low)  # resampling gave it to 2 % only
    assert found.high == pytest.approx(expected.high)
    assert (round(expected.low, 2), round(expected.high, 2)) == (0.70, 2.46)


@pytest.mark.parametrize("n", [2, 3, 5, 40])
def test_intervals_are_scipys(n: int) -> None:
    values = np.random.default_rng(n).lognormal(size=n)
    low, high = stats.t.interval(0.95, n - 1, np.mean(values), stats.sem(values))
    found = mean_interval(values.tolist())
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert quantile() == pytest.approx(stats.norm.ppf(0.975))


@pytest.mark.parametrize("n", [3, 4, 8])
def test_one_more_value_lies_where_it_is_said_to(n: int) -> None:
    rng = np.random.default_rng(n)
    hits = 0
    for _ in range(600):
        *seen, new = rng.normal(1.0, 2.0, n + 1)
        found = new_value_interval(seen)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= new <= found.high
    assert 0.925 <= hits / 600 <= 0.975


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
    assert new_value_interval([1.0, 2.0]) == Interval(1.5)  # from two nothing is predicted
    for value, times in ((0.1, 3), (-0.07, 7), (-50.0, 2), (-50.0, 4)):
        found = mean_interval([value] * times)
        assert found == Interval(pytest.approx(value), found.estimate, found.estimate)


def test_exact_numbers_share_a_rank_only_when_equal() -> None:
    assert exact_places([600.0, 600.0, 601.0]) == [Rank(1, 2), Rank(1, 2), Rank(3, 3)]
    assert exact_places([3 * 0.1, 0.3, 0.2]) == [Rank(2, 3), Rank(2, 3), Rank(1, 1)]
    assert exact_places([5.0]) == [Rank(1, 1)]


def rounds(rng: np.random.Generator, means: list[float], noise: float, n: int = 9) -> Float64s:
    """One cell: what disturbs a round disturbs all that is timed in it."""
    disturbed = rng.exponential(0.3, size=(n, 1))
    return disturbed + np.array(means) + rng.normal(0, noise, size=(n, len(means)))


@pytest.mark.parametrize("cells", [1, 5])
def test_equals_are_seldom_told_apart(cells: int) -> None:
    """At most one board in twenty may order contestants that are all alike."""
    rng = np.random.default_rng(cells)
    wrong = sum(
        any(p != Rank(1, 8) for p in places([rounds(rng, [0] * 8, 0.05) for _ in range(cells)]))
        for _ in range(200)
    )
    assert wrong <= 0.1 * 200


def test_what_differs_is_told_apart_and_neighbours_may_tie() -> None:
    """Cells differ far more than codecs do, and rounds too: pairs don't care."""
    rng = np.random.default_rng(0)
    times = [rounds(rng, [9 * c, 9 * c, 9 * c + 0.2, 9 * c + 0.5], 0.02) for c in range(4)]
    assert places(times) == [Rank(1, 2), Rank(1, 2), Rank(3, 3), Rank(4, 4)]


def test_a_difference_within_the_margin_is_a_tie() -> None:
    times = [np.array([[0.0, 0.03, 0.5]] * 5)]  # without any noise
    assert places(times) == [Rank(1, 1), Rank(2, 2), Rank(3, 3)]
    assert places(times, margin=0.05) == [Rank(1, 2), Rank(1, 2), Rank(3, 3)]


def test_holm_is_that_of_the_textbook() -> None:
    """Holm (1979): the smallest against risk / n, the next against risk / (n - 1), and so on."""
    assert holm(np.array([0.01, 0.04, 0.03, 0.005]), 0.05).tolist() == [True, False, False, True]
    assert holm(np.array([0.2, 0.001]), 0.05).tolist() == [False, True]


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
