"""One row a cell, for programs: CSV, JSON and Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.rows import Row

if TYPE_CHECKING:
    import pyarrow

#: Parts of a file, a column each.
PARTS = ("payload", "tables", "header", "scales", "codebooks", "floats", "buffers", "container")

_FIELDS = tuple(
    field.name
    for field in fields(Row)
    if field.name not in ("links", "ledger", "encode_ns", "decode_ns")
)
COLUMNS = (*_FIELDS, *(f"{part}_bytes" for part in PARTS))


def flat(row: Row) -> tuple[Any, ...]:
    """Return a row's value for each of COLUMNS; None if it was not measured."""
    return (
        *(getattr(row, name) for name in _FIELDS),
        *(row.ledger.get(part) for part in PARTS),
    )


def to_csv(results: Results) -> str:
    """Return one line per cell; empty if it was not measured."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(flat, results.every_row))
    return out.getvalue()


def to_json(results: Results) -> str:
    """Return a list with one object per cell; null if it was not measured."""
    found = [dict(zip(COLUMNS, flat(row), strict=True)) for row in results.every_row]
    return json.dumps(found, indent=1) + "\n"


def to_parquet(results: Results) -> bytes:
    """Return one row per cell; null where nothing was measured."""
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(to_arrow(results.every_row), out, compression="zstd")
    return out.getvalue()


def to_arrow(rows: Iterable[Row]) -> pyarrow.Table:
    """Return a table with one row per cell; null where nothing was measured."""
    import pyarrow

    values = [flat(row) for row in rows]
    columns = zip(*values, strict=True) if values else ((),) * len(COLUMNS)
    return pyarrow.table(
        {name: list(column) for name, column in zip(COLUMNS, columns, strict=True)}
    )
