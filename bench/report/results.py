"""All that boards are made of, read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slashbench.bench.report.lines import Block, Line, blocks
from slashbench.bench.report.rows import Records, Row, read, rows
from slashbench.bench.store import Store


@dataclass(frozen=True, slots=True)
class Results:
    """The records of a store, and what they join to."""

    records: Records
    rows: Sequence[Row]
    blocks: Sequence[Block]

    @property
    def models(self) -> list[str]:
        """Models with a good cell, by name."""
        return list(dict.fromkeys(block.model for block in self.blocks))

    def lines(self, model: str) -> list[Line]:
        """The lines of a model that are files, not bounds."""
        return [
            line
            for block in self.blocks
            if block.model == model
            for line in block.lines
            if not line.first.bound
        ]


def load(store: Store) -> Results:
    """Read a store, complete or not."""
    records = read(store)
    found = rows(records)
    return Results(records, found, blocks(found))
