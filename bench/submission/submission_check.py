"""What one check of a published folder found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["passed", "failed", "unclear"]

MOST = 12  # of a kind that are named one by one


@dataclass(frozen=True, slots=True)
class SubmissionCheck:
    """One check. unclear: nothing is wrong, but records can't show that all is right.

    Attributes
    ----------
    said
        What was found, with numbers.
    remedy
        What the submitter can do about it; empty where it passed.
    cases
        What it is about, one by one.
    """

    name: str
    status: Status
    said: str
    remedy: str = ""
    cases: Sequence[str] = ()


def held(name: str, count: str, wrong: Sequence[str], remedy: str) -> SubmissionCheck:
    """Return a check that passed if nothing is wrong. count: what was looked at."""
    if not wrong:
        return SubmissionCheck(name, "passed", count)
    return SubmissionCheck(name, "failed", f"{len(wrong)} wrong of {count}", remedy, wrong)
