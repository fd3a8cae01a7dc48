"""All that boards are made of, read once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from slashbench.bench.report.data.records import Records, read
from slashbench.bench.report.data.rows import Row, rows
from slashbench.bench.report.data.seed_means import Line, RecipeBlock, blocks
from slashbench.bench.store.store import Store
from slashbench.record import LimitRecord


@dataclass(frozen=True, slots=True)
class Results:
    """The records of a store, and what they join to."""

    records: Records
    rows: Sequence[Row]
    blocks: Sequence[RecipeBlock]
    machines: Sequence[str]  # that cells were timed on; the speeds of the first are shown

    @property
    def models(self) -> list[str]:
        """Models with a good cell, by name."""
        return list(dict.fromkeys(block.model for block in self.blocks))

    @property
    def limits(self) -> list[LimitRecord]:
        """Checkpoints whose limit was found."""
        return self.records.limits

    @property
    def tolerances(self) -> dict[str, float]:
        """The largest loss of each model that counts as equal quality, as its cells have it."""
        return {row.model: row.tolerance for row in self.rows if row.tolerance is not None}

    def lines(self, model: str) -> list[Line]:
        """Return the lines of a model that are files of integers: no bounds, nothing lossless."""
        return [
            line
            for block in self.blocks
            if block.model == model
            for line in block.lines
            if not line.first.bound and not line.first.lossless
        ]


def load(store: Store) -> Results:
    """Read a store, complete or not."""
    records = read(store)
    found = rows(records)
    timed = Counter(row.machine for row in found if row.machine)
    machines = [machine for machine, _ in timed.most_common()] or [""]
    return Results(records, found, blocks(found, machines[0]), machines)
