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
    rows: Sequence[Row]  # of files that hold everything
    blocks: Sequence[RecipeBlock]
    updates: Sequence[Row]  # of files whose decoder is given the base: a track of its own
    update_blocks: Sequence[RecipeBlock]
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
        return _files(self.blocks, model)

    def update_lines(self, model: str) -> list[Line]:
        """Return the lines of a model that are updates, given the base; lossless ones left out."""
        return _files(self.update_blocks, model)

    @property
    def every_row(self) -> list[Row]:
        """Every cell, of either track."""
        return [*self.rows, *self.updates]


def _files(blocks: Sequence[RecipeBlock], model: str) -> list[Line]:
    return [
        line
        for block in blocks
        if block.model == model
        for line in block.lines
        if not line.first.bound and not line.first.lossless
    ]


def load(store: Store) -> Results:
    """Read a store, complete or not."""
    records = read(store)
    every = rows(records)
    timed = Counter(row.machine for row in every if row.machine)
    machines = [machine for machine, _ in timed.most_common()] or [""]
    whole = [row for row in every if not row.given_base]
    updates = [row for row in every if row.given_base]
    first = machines[0]
    return Results(records, whole, blocks(whole, first), updates, blocks(updates, first), machines)
