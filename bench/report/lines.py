"""Cells that differ only in their seed make a line; the lines of one recipe a block."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from slashbench.bench.report.rows import Row
from slashbench.bench.report.statistics import LEVEL, Place, rank


@dataclass(slots=True)
class Line:
    """One codec on one recipe: the mean over seeds."""

    rows: Sequence[Row]  # one a seed, all good, same machine
    place: Place | None = None  # among the codecs of the recipe; None for a bound

    @property
    def first(self) -> Row:
        """Any of the rows, for what seeds don't change."""
        return self.rows[0]

    def mean(self, field_of: Callable[[Row], float | None]) -> float | None:
        """Mean over seeds, None if any seed lacks the number."""
        values = [field_of(row) for row in self.rows]
        numbers = [value for value in values if value is not None]
        return statistics.fmean(numbers) if numbers and len(numbers) == len(values) else None

    @property
    def bits(self) -> float:
        """Bits per parameter."""
        return self.mean(lambda row: row.bits_per_parameter) or 0.0

    @property
    def bits_stderr(self) -> float | None:
        """Standard error of the size over seeds; None for one seed, whose bytes are exact."""
        values = [row.bits_per_parameter or 0.0 for row in self.rows]
        return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None

    @property
    def value_stderr(self) -> float | None:
        """Standard error of the metric: over seeds, or over test items for a single seed."""
        values = [row.value or 0.0 for row in self.rows]
        if len(values) == 1:
            return self.first.stderr
        return statistics.stdev(values) / math.sqrt(len(values))

    @property
    def delta_stderr(self) -> float | None:
        """Standard error of the difference: over seeds, or paired over items for one seed."""
        deltas = [row.delta for row in self.rows if row.delta is not None]
        if len(deltas) < 2:
            return self.first.delta_stderr
        return statistics.stdev(deltas) / math.sqrt(len(deltas))

    @property
    def quantile(self) -> float:
        """Standard errors to either side that make a range of `LEVEL`: Student's over seeds."""
        half = (1 + LEVEL) / 2
        seeds = len(self.rows)
        return float(special.ndtri(half) if seeds == 1 else special.stdtrit(seeds - 1, half))

    @property
    def loss(self) -> float | None:
        """How much worse than the plain float model, over seeds: points, or a fraction."""
        return self.mean(lambda row: row.loss)


@dataclass(slots=True)
class Block:
    """One recipe of one model and its codecs, smallest first."""

    model: str
    recipe: str
    lines: list[Line] = field(default_factory=list)

    @property
    def smallest(self) -> Line | None:
        """The line of the fewest bits that is a file; None where there are but bounds."""
        return next((line for line in self.lines if not line.first.bound), None)


def blocks(rows: Iterable[Row]) -> list[Block]:
    """Every model and recipe with a good cell; models by name, recipes by their smallest size."""
    lines: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        if row.status == "ok":
            lines.setdefault((row.model, row.recipe, row.codec, row.machine), []).append(row)
    found: dict[tuple[str, str], Block] = {}
    for (model, recipe, _, _), members in lines.items():
        one_a_seed = list({row.seed: row for row in members}.values())
        found.setdefault((model, recipe), Block(model, recipe)).lines.append(Line(one_a_seed))
    for block in found.values():
        block.lines.sort(key=lambda line: (line.bits, line.first.codec))
        _rank([line for line in block.lines if not line.first.bound])
    return sorted(found.values(), key=lambda block: (block.model, _smallest(block), block.recipe))


def _rank(lines: Sequence[Line]) -> None:
    """Say which codecs of a recipe can be told apart, by the seeds that all of them have.

    A codec takes one place, on however many machines it was timed. Where all have one seed in
    common, the bytes of its files are exact and order the codecs.
    """
    firsts = list({line.first.codec: line for line in reversed(lines)}.values())
    if not firsts:
        return
    by_seed = [{row.seed: row.bits_per_parameter or 0.0 for row in line.rows} for line in firsts]
    seeds = sorted(set.intersection(*(set(sizes) for sizes in by_seed)))
    if len(seeds) > 1:
        scores = np.array([[sizes[seed] for sizes in by_seed] for seed in seeds])
        places = rank(scores).places
    else:
        sizes = [line.bits for line in firsts]
        places = [
            Place(1 + sum(s < size for s in sizes), sum(s <= size for s in sizes)) for size in sizes
        ]
    place_of = {line.first.codec: place for line, place in zip(firsts, places, strict=True)}
    for line in lines:
        line.place = place_of[line.first.codec]


def _smallest(block: Block) -> float:
    return math.inf if block.smallest is None else block.smallest.bits
