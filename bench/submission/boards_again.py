"""The boards beside published records, made again from them."""

from __future__ import annotations

from slashbench.bench.report.data.results import Results
from slashbench.bench.report.output import export
from slashbench.bench.store.store import Store
from slashbench.bench.submission.submission_check import SubmissionCheck, held


def stale(found: Results, store: Store) -> dict[str, str]:
    """Return the boards that are not what the records give -> the command that makes them."""
    return {
        name: f"bench report --out {store.where} --{kind} {store.where}/{name}"
        for name, kind in export.PUBLISHED.items()
        if store.files.read(name) != export.made(found, kind)
    }


def boards(found: Results, store: Store) -> SubmissionCheck:
    """Check that each board is what the records give."""
    again = stale(found, store)
    return held(
        "boards",
        f"{', '.join(export.PUBLISHED)}, made again from the records",
        list(again),
        "; ".join(again.values()),
    )
