"""Cells that differ only in their seed make a line; the lines of one recipe a block."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from slashbench.bench.report.data.rows import Row
from slashbench.bench.report.statistics import quantile, standard_error
from slashbench.bench.report.ties import Rank, exact_places


@dataclass(slots=True)
class Line:
    """One codec on one recipe: the mean over seeds."""

    rows: Sequence[Row]  # one a seed, all good, the one measured last
    clocks: Sequence[Row] = ()  # one a seed that was timed on the machine the boards show
    place: Rank | None = None  # among the codecs of the recipe; None for a bound

    @property
    def first(self) -> Row:
        """Any of the rows, for what seeds don't change."""
        return self.rows[0]

    def mean(self, field_of: Callable[[Row], float | None]) -> float | None:
        """Return the mean over seeds; None if any seed lacks the number."""
        return _mean([field_of(row) for row in self.rows])

    def clock(self, field_of: Callable[[Row], float | None]) -> float | None:
        """Return the mean of a speed or time over the seeds that were timed; None without one."""
        return _mean([field_of(row) for row in self.clocks])

    @property
    def seeds(self) -> frozenset[int]:
        """Which seeds it has."""
        return frozenset(row.seed for row in self.rows)

    @property
    def bits(self) -> float:
        """Bits per parameter."""
        return self.mean(lambda row: row.bits_per_parameter) or 0.0

    @property
    def bits_stderr(self) -> float | None:
        """Standard error of the size over seeds; None for one seed, whose bytes are exact."""
        return standard_error([row.bits_per_parameter or 0.0 for row in self.rows])

    @property
    def value_stderr(self) -> float | None:
        """Standard error of the metric: over seeds, or over test items for a single seed."""
        return self._error(lambda row: row.value, lambda row: row.stderr)

    @property
    def delta_stderr(self) -> float | None:
        """Standard error of the difference: over seeds, or paired over items for one seed."""
        return self._error(lambda row: row.delta, lambda row: row.delta_stderr)

    @property
    def quantile(self) -> float:
        """Standard errors that an interval reaches to either side: Student's over seeds."""
        return quantile(len(self.rows) if len(self.rows) > 1 else None)

    @property
    def loss(self) -> float | None:
        """How much worse than the plain float model, in the unit of the tolerance.

        Over the seeds for which that model was run.
        """
        losses = [row.loss for row in self.rows if row.loss is not None]
        return statistics.fmean(losses) if losses else None

    @property
    def tolerance(self) -> float:
        """The largest loss that counts as equal quality."""
        return self.first.tolerance or 0.0

    @property
    def keeps_quality(self) -> bool:
        """Whether the loss is known and within the tolerance."""
        return self.loss is not None and self.loss <= self.tolerance

    @property
    def in_doubt(self) -> bool:
        """Whether the loss is within the tolerance and its interval goes beyond."""
        return self.keeps_quality and (self.loss or 0.0) + self.loss_reach > self.tolerance

    @property
    def loss_reach(self) -> float:
        """How far the interval of the loss reaches to either side."""
        return self.quantile * (self.delta_stderr or 0.0)

    def _error(
        self, value: Callable[[Row], float | None], over_items: Callable[[Row], float | None]
    ) -> float | None:
        """Return the standard error over several seeds, or the recorded one over items."""
        known = [row for row in self.rows if value(row) is not None]
        if len(known) == 1:
            return over_items(known[0])
        return standard_error([value(row) or 0.0 for row in known])


@dataclass(slots=True)
class RecipeBlock:
    """One recipe of one model and its codecs, smallest first."""

    model: str
    recipe: str
    lines: list[Line] = field(default_factory=list)

    @property
    def smallest(self) -> Line | None:
        """The line of the fewest bits that is a file; None where there are but bounds."""
        return next((line for line in self.lines if not line.first.bound), None)


def blocks(rows: Iterable[Row], machine: str) -> list[RecipeBlock]:
    """Return every model and recipe with a good cell, by model and smallest size.

    machine: on which speeds count. Sizes and metrics are the same wherever they were made.
    """
    lines: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.status == "ok":
            lines.setdefault((row.model, row.recipe, row.codec), []).append(row)
    found: dict[tuple[str, str], RecipeBlock] = {}
    for (model, recipe, _), members in lines.items():
        last = sorted(members, key=lambda row: row.measured_at)
        one_a_seed = {row.seed: row for row in last}
        clocks = {row.seed: row for row in last if row.machine == machine and row.decode_s}
        line = Line([one_a_seed[seed] for seed in sorted(one_a_seed)], list(clocks.values()))
        found.setdefault((model, recipe), RecipeBlock(model, recipe)).lines.append(line)
    for block in found.values():
        block.lines.sort(key=lambda line: (line.bits, line.first.codec))
        _rank([line for line in block.lines if not line.first.bound])
    return sorted(found.values(), key=lambda block: (block.model, _smallest(block), block.recipe))


def _rank(lines: Sequence[Line]) -> None:
    """Order the codecs of a recipe by the bytes of the seeds that all of them have: exact here.

    Without a seed in common nothing orders them.
    """
    if not lines:
        return
    seeds = frozenset.intersection(*(line.seeds for line in lines))
    sizes = [
        math.fsum(row.bits_per_parameter or 0.0 for row in line.rows if row.seed in seeds)
        for line in lines
    ]
    for line, place in zip(lines, exact_places(sizes), strict=True):
        line.place = place


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return statistics.fmean(numbers) if numbers and len(numbers) == len(values) else None


def _smallest(block: RecipeBlock) -> float:
    return math.inf if block.smallest is None else block.smallest.bits
