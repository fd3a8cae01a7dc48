"""What is in a checkpoint, compressed or not, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from slashbench.bench.checkpoint.describe import Description
from slashbench.bench.report.tables import NOTHING, Table, number


def tables(found: Description) -> list[Table]:
    """Return the tensors of one file, and where its bytes go."""
    bits = number(8 * found.file_bytes / found.parameters, 3) if found.parameters else NOTHING
    form = f"format {found.format}" if found.format else "not compressed"
    given = f" · given {found.base.name}, hash {found.base.hash}" if found.base else ""
    per_parameter = f"{found.parameters:,} parameters · {bits} bits each"
    tensors = Table(
        title=found.name,
        about=f"{form} · {found.file_bytes / 1e6:.1f} of "
        f"{found.plain_bytes / 1e6:.1f} MB · {per_parameter}{given}",
        columns=("tensor", "dtype", "shape", "bytes", "bits/value", "step", "how"),
        rows=[
            (
                entry.name,
                entry.dtype,
                " x ".join(map(str, entry.shape)) or "scalar",
                f"{entry.file_bytes:,}",
                number(8 * entry.file_bytes / entry.count, 3) if entry.count else NOTHING,
                entry.step,
                entry.how,
            )
            for entry in found.tensors
        ],
    )
    ledger = Table(
        title="where the bytes go",
        about="",
        columns=("part", "bytes", "share"),
        rows=[
            (part, f"{size:,}", number(100 * size / found.file_bytes, 2) + " %")
            for part, size in found.ledger.items()
        ],
    )
    return [tensors, ledger]


def as_json(found: Sequence[Description]) -> str:
    """Return a JSON list with one object for each file."""
    return msgspec.json.format(msgspec.json.encode(found)).decode()
