"""The table of `bench history`: files to the byte and speeds as ratios, release by release."""

from __future__ import annotations

from collections.abc import Sequence

from slashbench.bench.report.analysis.compare import decode_change, encode_change
from slashbench.bench.report.analysis.history import By, Release, Step
from slashbench.bench.report.statistics import Interval
from slashbench.bench.report.tables import NOTHING, Table

LEGEND = """\
bytes: of all files that both releases have, exact · enc, dec: how many times as fast, geometric \
mean over cells that one machine timed in both · in brackets the interval of 95 % over (model, \
seed)"""


def releases(found: Sequence[Release]) -> Table:
    """Return what each release published, and of which commit."""
    return Table(
        "Releases",
        "",
        ("release", "cells", "measured", "commit"),
        [
            (
                one.name,
                str(len(one.results.every_row)),
                max((row.measured_at for row in one.results.every_row), default="")[:10],
                ", ".join(
                    sorted(
                        {
                            (cell.provenance.git_commit or "unknown")[:8]
                            for cell in one.results.records.cells
                        }
                    )
                ),
            )
            for one in found
        ],
    )


def changes(steps: Sequence[Step], by: By) -> list[Table]:
    """Return a table for each release that has one before it."""
    tables: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        tables.setdefault((step.before, step.after), []).append(step)
    columns = (by, "cells", "bytes before", "bytes", "same", "grown", "shrunk", "enc", "dec")
    return [
        Table(f"{before} -> {after}", "", columns, [_row(step) for step in found])
        for (before, after), found in tables.items()
    ]


def _row(step: Step) -> tuple[str, ...]:
    return (
        step.group,
        str(len(step.pairs)),
        f"{step.bytes_before:,}",
        f"{step.bytes_after:,}",
        *(str(step.count(sign)) for sign in (0, 1, -1)),
        _times(encode_change(step.pairs)),
        _times(decode_change(step.pairs)),
    )


def _times(change: Interval | None) -> str:
    """Return a change of speed as a ratio."""
    if change is None:
        return NOTHING
    text = f"{1 + change.estimate:.2f}"
    if change.low is None or change.high is None:
        return text
    return f"{text} [{1 + change.low:.2f}, {1 + change.high:.2f}]"
