"""Bits by kind of tensor: embeddings, matrices, vectors."""

from __future__ import annotations

from collections import defaultdict

from slashbench.bench.report.data.results import Results
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import NOTHING, Table, number, percent

KINDS = ("embedding", "matrix", "vector")


def section(results: Results) -> Section:
    """Build the board of each recipe's smallest codec."""
    rows = []
    for block in results.blocks:
        line = block.smallest
        size = results.records.sizes.get(line.first.compress) if line else None
        if line is None or size is None:
            continue
        values: dict[str, int] = defaultdict(int)
        taken: dict[str, int] = defaultdict(int)
        for tensor in size.tensors:
            values[tensor.kind] += tensor.n
            taken[tensor.kind] += tensor.n_bytes
        total = sum(taken[kind] for kind in KINDS) or 1
        cells = []
        for kind in KINDS:
            n = values[kind]
            cells += [
                number(8 * taken[kind] / n, 3) if n else NOTHING,
                percent(taken[kind] / total) if n else NOTHING,
            ]
        rows.append((block.model, block.recipe, line.first.codec, *cells))
    columns = [f"{kind} {what}" for kind in KINDS for what in ("bits", "bytes")]
    return Section(
        "tensors",
        "Tensors",
        "Bits per value and share of the bytes by kind of tensor; the smallest codec of each "
        "recipe, first seed. Embedding rows that a task never shows shrink for free.",
        [Table("By kind", "", ("model", "recipe", "codec", *columns), rows)] if rows else [],
    )
