"""A titled table of text, for every output alike, and how numbers are spelled in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from slashbench.bench.report.statistics import Interval
from slashbench.bench.report.ties import Rank
from slashbench.record import Provenance

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table; `faint` are the indices of rows that are no contestants.

    details: row -> what a page shows when the cell of its column `recipe` is opened.
    """

    title: str
    about: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    faint: frozenset[int] = frozenset()
    details: Mapping[int, str] = field(default_factory=dict)


def provenance(runs: Sequence[Provenance]) -> list[str]:
    """Return machines, versions and commands behind records, one sentence each."""

    def distinct(of: Callable[[Provenance], str]) -> list[str]:
        return sorted({of(run) for run in runs})

    libraries = distinct(lambda r: ", ".join(f"{n} {v}" for n, v in sorted(r.libraries.items())))
    return [
        *distinct(
            lambda r: (
                f"machine: {r.cpu_model}, {r.cpu_count} cores, {r.platform}, Python {r.python}"
            )
        ),
        *[f"libraries: {text}" for text in libraries],
        *distinct(
            lambda r: (
                f"slashbench {r.slashbench}, commit {r.git_commit or 'unknown'}"
                f"{' with local changes' if r.git_dirty else ''}"
            )
        ),
        *sorted({f"command: {r.command_line}" for r in runs}),
    ]


def number(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """Return a number as the boards print it, – where there is none."""
    if value is None:
        return NOTHING
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def plus_minus(value: float | None, error: float | None, sign: bool = False) -> str:
    """Return a mean and its standard error."""
    text = number(value, 3, sign)
    return text if value is None or not error else f"{text} ± {error:.3f}"


def percent(value: float | None, digits: int = 1, sign: bool = False) -> str:
    """Return a share in percent."""
    return NOTHING if value is None else number(100 * value, digits, sign) + " %"


def interval(found: Interval | None, digits: int = 1) -> str:
    """Return a share in percent and the range about it."""
    if found is None:
        return NOTHING
    text = percent(found.estimate, digits, sign=True)
    return text if found.low is None else f"{text} {limits(found, digits)}"


def limits(found: Interval, digits: int = 1) -> str:
    """Return the two ends of an interval of shares in percent, – where there is none."""
    if found.low is None or found.high is None:
        return NOTHING
    low, high = (number(100 * end, digits, sign=True) for end in (found.low, found.high))
    return f"[{low}, {high}]"


def place(found: Rank | None) -> str:
    """Return a rank, or the ranks that noise leaves open."""
    if found is None:
        return NOTHING
    return str(found.first) if found.first == found.last else f"{found.first}–{found.last}"
