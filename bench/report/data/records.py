"""The records of a store, and those of one cell joined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slashbench.bench.store.store import Store
from slashbench.record import (
    CellRecord,
    CheckpointRecord,
    CompressRecord,
    EvaluateRecord,
    LimitRecord,
    Record,
    TimeRecord,
)


@dataclass(frozen=True, slots=True)
class Joined:
    """A cell and the records it is made of."""

    cell: CellRecord
    point: CheckpointRecord
    size: CompressRecord
    decoded: EvaluateRecord  # the weights that the file gives back
    floats: EvaluateRecord | None  # the checkpoint before quantisation
    timing: TimeRecord | None

    @property
    def parameter_bytes(self) -> float:
        """Bytes of the file without integer buffers, which are no parameters.

        In an update there are none, but bytes that say what the rest is.
        """
        buffers = 0 if self.cell.given_base else self.size.ledger.get("buffers", 0)
        return self.size.file_bytes - buffers

    @property
    def bits_per_parameter(self) -> float:
        """Bits of the whole file over all parameters."""
        return 8 * self.parameter_bytes / self.point.n_parameters


@dataclass(frozen=True, slots=True)
class Records:
    """All records of a store by key; the cells in the order they were measured."""

    cells: list[CellRecord]
    points: dict[str, CheckpointRecord]
    sizes: dict[str, CompressRecord]
    metrics: dict[str, EvaluateRecord]
    times: dict[str, TimeRecord]
    limits: list[LimitRecord]

    def join(self, cell: CellRecord) -> Joined | None:
        """Return the records of a good cell; None if it failed or a record is missing."""
        point, size = self.points.get(cell.checkpoint), self.sizes.get(cell.compress)
        decoded = self.metrics.get(cell.evaluate)
        if cell.status == "failed" or point is None or size is None or decoded is None:
            return None
        floats = self.metrics.get(cell.evaluate_float)
        return Joined(cell, point, size, decoded, floats, self.times.get(cell.time))

    def joined(self) -> Iterator[Joined]:
        """Yield every good cell with its records."""
        return (found for cell in self.cells if (found := self.join(cell)) is not None)


def read(store: Store) -> Records:
    """Read every record of a store that can be read."""
    return Records(
        cells=sorted(store.cells(), key=measured),
        points={record.key: record for record in store.all(CheckpointRecord)},
        sizes={record.key: record for record in store.all(CompressRecord)},
        metrics={record.key: record for record in store.all(EvaluateRecord)},
        times={record.key: record for record in store.all(TimeRecord)},
        limits=sorted(store.all(LimitRecord), key=measured),
    )


def measured(record: Record) -> tuple[str, str]:
    """Order records by when they were measured, then by key."""
    return record.provenance.measured_at, record.key
