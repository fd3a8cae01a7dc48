"""All checks of a published folder that nothing has to be run for."""

from __future__ import annotations

from collections.abc import Mapping

from slashbench.bench.plan.matrix import Request
from slashbench.bench.report.data.results import Results
from slashbench.bench.store.store import Store
from slashbench.bench.submission import boards_again, completeness, consistency
from slashbench.bench.submission.submission_check import SubmissionCheck


def checks(
    found: Results, store: Store, asked: Mapping[str, Request] | None
) -> list[SubmissionCheck]:
    """Return what the checks found, in the order in which a person reads them.

    Parameters
    ----------
    asked
        The commands whose cells the folder should have; None leaves that check out.

    Raises
    ------
    CorruptFile
        If the records can't be read.
    """
    records = found.records
    return [
        consistency.published_alone(store),
        *([] if asked is None else completeness.complete(records, asked)),
        consistency.joined(records),
        consistency.failures(records),
        consistency.hashes(records),
        consistency.sizes(records),
        consistency.metrics(records),
        *consistency.origin(store),
        consistency.private(store),
        consistency.split(records),
        consistency.choices(records),
        boards_again.boards(found, store),
    ]
