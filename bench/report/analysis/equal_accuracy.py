"""Compression while training next to compression after it, at equal quality.

Equal quality means: the loss against the plain float model of the same seed is within the model's
tolerance. Each side chooses its recipe and its codec. Further comparisons hold the two sides to as
many training steps, or to as much compute.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slashbench.bench.report.data.rows import PLAIN, Row
from slashbench.bench.report.data.seed_means import Line
from slashbench.bench.report.statistics import Interval, mean_interval, new_value_interval

AS_MUCH = 0.95  # of the other side's compute, which no run meets to the second


@dataclass(frozen=True, slots=True)
class Contest:
    """Both sides of one comparison; a side without a line says why."""

    model: str
    training_time: Line | str
    post_training: Line | str
    candidates: tuple[int, int] = (0, 0)  # lines of each side to choose from

    @property
    def saving(self) -> Interval | None:
        """Share of bits that the training-time side saves, over seeds; negative: it takes more."""
        if isinstance(self.training_time, str) or isinstance(self.post_training, str):
            return None
        return saving(self.training_time, self.post_training)


def saving(ours: Line, theirs: Line) -> Interval:
    """Return share of bits that `ours` saves: paired over the seeds that both have."""
    logs = _logs(ours, theirs)
    if not logs:
        return Interval(1 - ours.bits / theirs.bits)
    return shares_saved(mean_interval(logs))


def overall_saving(contests: Sequence[Contest]) -> tuple[int, Interval] | None:
    """Return the number of models with both sides, and their geometric mean saving.

    It is exact for these models; its interval is where that of one more model would lie.

    Each model has one voice, however many seeds. None where fewer than two have both sides.
    """
    both = [
        _logs(contest.training_time, contest.post_training)
        for contest in contests
        if isinstance(contest.training_time, Line) and isinstance(contest.post_training, Line)
    ]
    means = [math.fsum(logs) / len(logs) for logs in both if logs]
    return (len(means), shares_saved(new_value_interval(means))) if len(means) > 1 else None


def _logs(ours: Line, theirs: Line) -> list[float]:
    """Return logarithm of the ratio of sizes for each seed that both have."""
    a = {row.seed: row.bits_per_parameter or math.nan for row in ours.rows}
    b = {row.seed: row.bits_per_parameter or math.nan for row in theirs.rows}
    return [math.log(a[seed] / b[seed]) for seed in sorted(a.keys() & b.keys())]


def shares_saved(logs: Interval) -> Interval:
    """Return the logarithm of a ratio of sizes as a share saved."""

    def share(log: float | None) -> float | None:
        return None if log is None else -math.expm1(min(log, 700.0))

    return Interval(-math.expm1(logs.estimate), share(logs.high), share(logs.low))


def best(model: str, lines: Sequence[Line]) -> Contest:
    """Return the smallest line of each side among those that keep the quality."""
    trained, after = split(lines)
    return _contest(model, smallest_kept(trained), trained, after)


def best_at_equal_steps(model: str, lines: Sequence[Line]) -> Contest | None:
    """Return the same at equal training steps; None if no training-time file is in tolerance."""
    trained, after = split(lines)
    winner = smallest_kept(trained)
    if isinstance(winner, str):
        return None
    steps = winner.first.train_steps
    same = [line for line in after if line.first.train_steps == steps]
    return _contest(model, winner, trained, same, f"of {steps} steps ")


def best_at_equal_compute(model: str, lines: Sequence[Line]) -> Contest | None:
    """Return the same at equal CPU time of training; `plain:longer` trains as long."""
    trained, after = split(lines)
    winner = smallest_kept(trained)
    if isinstance(winner, str):
        return None
    spent = winner.mean(_cpu_s)
    if spent is None:
        return None
    as_much = [line for line in after if (line.mean(_cpu_s) or 0.0) >= AS_MUCH * spent]
    if after and not as_much:
        plain = [line.mean(_cpu_s) for line in after if line.first.regime == PLAIN]
        cost = max(filter(None, plain), default=None)
        remedy = "" if cost is None else f": add plain:longer={spent / cost:.2f}"
        return Contest(model, winner, f"none took as long{remedy}")
    return _contest(model, winner, trained, as_much)


def _contest(
    model: str,
    winner: Line | str,
    trained: Sequence[Line],
    after: Sequence[Line],
    which: str = "",
) -> Contest:
    rival = smallest_kept(after, which)
    return Contest(model, winner, rival, (len(trained), len(after)))


def best_at_equal_step(model: str, lines: Sequence[Line]) -> list[Contest]:
    """Return each quantiser that both sides ran without further links: each side's best codec."""
    by_step: dict[str, list[Line]] = {}
    for line in lines:
        if "+" not in line.first.chain:
            by_step.setdefault(line.first.quantiser, []).append(line)
    contests = []
    for same in by_step.values():
        trained, after = split(same)
        if trained and after:
            contests.append(Contest(model, smallest(trained), smallest(after)))
    return contests


def split(lines: Iterable[Line]) -> tuple[list[Line], list[Line]]:
    """Return (training-time, post-training)."""
    sides: tuple[list[Line], list[Line]] = ([], [])
    for line in lines:
        names = {link.partition(":")[0] for link in line.first.regime.split("+")}
        sides[names == {PLAIN}].append(line)  # plain+plain:distil=0.7 sees no quantiser either
    return sides


def smallest(lines: Sequence[Line]) -> Line:
    """Return the line of the fewest bits among those of the most seeds."""
    most = max(len(line.rows) for line in lines)
    return min((ln for ln in lines if len(ln.rows) == most), key=lambda line: line.bits)


def smallest_kept(lines: Sequence[Line], which: str = "") -> Line | str:
    """Return the smallest line that keeps the quality, or why there is none."""
    if not lines:
        return f"none {which}was run"
    if all(line.loss is None for line in lines):
        return "no plain float model was run to compare with"
    kept = [line for line in lines if line.keeps_quality]
    return smallest(kept) if kept else f"none {which}in tolerance"


def _cpu_s(row: Row) -> float | None:
    return row.train_cpu_s
