"""What one look at this machine found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One thing that was looked at.

    Attributes
    ----------
    status
        good; note: something optional is missing or unusual; problem: something fails for it.
    remedy
        What to do about a note or a problem.
    """

    part: str
    name: str
    status: Literal["good", "note", "problem"]
    said: str
    remedy: str = ""
