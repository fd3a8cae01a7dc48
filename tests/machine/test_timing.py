"""An operation is timed until its median is known well enough, or the budget is spent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slashbench.bench.machine import timing


def taken(
    monkeypatch: pytest.MonkeyPatch, durations_ms: Iterator[float], **limits: float
) -> list[int]:
    """The samples of an operation that takes those times, by a clock of the test's own."""
    now = [0]

    def operation() -> None:
        now[0] += int(next(durations_ms) * 1e6)

    monkeypatch.setattr(timing.time, "perf_counter_ns", lambda: now[0])
    return timing.time_alone(operation, **limits).wall_ns


def cycle(*times: float) -> Iterator[float]:
    while True:
        yield from times


def test_a_steady_operation_takes_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(taken(monkeypatch, cycle(10.0))) == timing.LEAST_SAMPLES


def test_an_unsteady_one_takes_more(monkeypatch: pytest.MonkeyPatch) -> None:
    found = taken(monkeypatch, cycle(1.0, 1.1, 0.9, 1.2, 0.8), budget_s=10.0)
    assert len(found) > 10
    assert timing.relative_error(found) <= timing.WANTED_ERROR


def test_the_budget_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = taken(monkeypatch, cycle(100.0, 300.0, 200.0), budget_s=1.0)
    assert 1e9 <= sum(found) < 1.4e9


def test_one_slow_sample_does_not_count_for_more_than_it_says() -> None:
    assert timing.relative_error([100, 101, 99, 100, 100, 5000]) < 0.01
