"""What is in a checkpoint, compressed or not, as tables and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import msgspec

from slashbench.bench.checkpoint.describe import Description
from slashbench.bench.checkpoint.difference import TensorDifference
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


def of_differences(found: Sequence[TensorDifference], n_tensors: int) -> Table:
    """Return which tensors of two checkpoints differ."""
    return Table(
        title=f"{len(found)} of {n_tensors} tensors differ",
        about="",
        columns=("tensor", "dtype", "shape", "what", "values", "share", "largest", "relative"),
        rows=[
            (
                each.name,
                *_was_and_became(each),
                each.kind,
                f"{each.values:,}" if each.values else NOTHING,
                _share(each),
                NOTHING if each.largest is None else f"{each.largest:.3g}",
                NOTHING if each.relative is None else f"{each.relative:.3g}",
            )
            for each in found
        ],
    )


def _was_and_became(each: TensorDifference) -> tuple[str, str]:
    entries = [entry for entry in (each.old, each.new) if entry is not None]
    dtypes = dict.fromkeys(entry.dtype for entry in entries)
    shapes = dict.fromkeys(" x ".join(map(str, entry.shape)) or "scalar" for entry in entries)
    return " -> ".join(dtypes), " -> ".join(shapes)


def _share(each: TensorDifference) -> str:
    if each.largest is None or each.old is None:
        return NOTHING
    return f"{100 * each.values / each.old.count:.3g} %"


def differences_as_json(found: Sequence[TensorDifference]) -> str:
    """Return the same as JSON, one object a tensor."""
    return json.dumps(
        [
            {
                "tensor": each.name,
                "what": each.kind,
                "values": each.values,
                "largest": _finite(each.largest),
                "relative": _finite(each.relative),
            }
            for each in found
        ],
        indent=1,
    )


def _finite(number: float | None) -> float | str | None:
    return number if number is None or math.isfinite(number) else str(number)
