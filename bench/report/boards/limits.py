"""The limit of each matrix, and what step sizes of rows and columns save."""

from __future__ import annotations

from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.water_filling import Limit, at_loss
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import NOTHING, Table, number
from slashbench.record import LimitRecord, executed

COLUMNS = ("matrix", "weights", "limit", "scalar", "columns save", "rows save")


def section(results: Results) -> Section:
    """Build one table for each checkpoint whose limit was found."""
    return Section(
        "limit",
        "The limit",
        "Bits a weight for a loss of the model's tolerance. limit: what reverse water-filling over "
        "the directions of each matrix (sensitivity of rows times second moment of inputs) allows "
        "any coder of these float weights, were they Gaussian; heavier tails need less. scalar: "
        "the same with a scalar quantiser and an ideal entropy coder. columns save, rows save: "
        "half the log2 of the arithmetic over the geometric mean, the bits that a step size for "
        "each column (as `watersic` has) or row (as `gptq-loss` has) saves at fine steps. all: "
        "bits a parameter, tensors that are kept as they are included.",
        [
            _table(record, results.tolerances[record.model])
            for record in results.limits
            if record.status == "ok" and results.tolerances.get(record.model, 0.0) > 0
        ],
    )


def _table(record: LimitRecord, tolerance: float) -> Table:
    found = at_loss(record, tolerance)
    return Table(
        f"{record.model} · {executed(record.recipe, record.execution)} · seed {record.seed}",
        f"loss {number(tolerance, 4)}",
        COLUMNS,
        [*_rows(found), _whole(found, record)],
    )


def _rows(found: Limit) -> list[tuple[str, ...]]:
    return [
        (
            limit.spectrum.name,
            f"{limit.spectrum.n:,}",
            number(limit.bits, 3),
            number(limit.scalar_bits, 3),
            number(limit.spectrum.columns_bits, 3),
            number(limit.spectrum.rows_bits, 3),
        )
        for limit in found.matrices
    ]


def _whole(found: Limit, record: LimitRecord) -> tuple[str, ...]:
    return (
        "all",
        f"{record.n_parameters:,}",
        number(found.bits, 3),
        number(found.scalar_bits, 3),
        NOTHING,
        NOTHING,
    )
