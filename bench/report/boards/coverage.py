"""What there is, what failed and why, and where the numbers come from."""

from __future__ import annotations

from collections import Counter

from slashbench.bench.report.data.results import Results
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import Table, provenance


def section(results: Results) -> Section:
    """Build the board of cells by model, and of each failure's reason."""
    last = sorted(results.every_row, key=lambda r: r.measured_at)
    rows = list({(r.model, r.recipe, r.codec, r.seed): r for r in last}.values())
    every, good = Counter(r.model for r in rows), Counter(r.model for r in rows if r.status == "ok")
    recipes = {m: len({r.recipe for r in rows if r.model == m}) for m in every}
    codecs = {m: len({r.codec for r in rows if r.model == m}) for m in every}
    failed = [row for row in rows if row.status == "failed"]
    tables = [
        Table(
            "Cells",
            "",
            ("model", "recipes", "codecs", "cells", "good", "failed"),
            [
                (m, str(recipes[m]), str(codecs[m]), str(n), str(good[m]), str(n - good[m]))
                for m, n in sorted(every.items())
            ],
        ),
        Table(
            "Failed cells",
            "",
            ("model", "recipe", "codec", "seed", "reason"),
            [(r.model, r.recipe, r.codec, str(r.seed), r.reason) for r in failed],
        ),
    ]
    return Section(
        "coverage",
        "Coverage",
        f"{sum(good.values())} of {len(rows)} cells are good, as last measured. Boards impute "
        "nothing for the rest.",
        [table for table in tables if table.rows],
    )


def origin(results: Results) -> Section:
    """Build the list of machines, versions and commands."""
    said = provenance([cell.provenance for cell in results.records.cells])
    return Section("origin", "Where the numbers come from", "", said)
