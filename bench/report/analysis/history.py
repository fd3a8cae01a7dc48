"""A board's figures over releases: what became of the files and speeds that two of them share.

Bytes are exact. They are held from one release to the next where the codec was given the same
weights and ran the same libraries; other processors and versions of torch train other weights.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from slashbench.bench.report.analysis.compare import Comparison, Pair, of_runs
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.rows import Row

By = Literal["codec", "model", "recipe"]

_GROUPS: dict[By, Callable[[Row], str]] = {
    "codec": lambda row: row.codec,
    "model": lambda row: row.model,
    "recipe": lambda row: row.recipe,
}


@dataclass(frozen=True, slots=True)
class Release:
    """The results that a release published."""

    name: str
    results: Results


@dataclass(frozen=True, slots=True)
class Step:
    """One group of cells from a release to the next. pairs: the cells that both have."""

    before: str
    after: str
    group: str
    pairs: Sequence[Pair]

    @property
    def bytes_before(self) -> int:
        """Bytes of all files of the group in the earlier release."""
        return sum(round(pair.a.file_bytes or 0) for pair in self.pairs)

    @property
    def bytes_after(self) -> int:
        """Bytes of the same files in the later one."""
        return sum(round(pair.b.file_bytes or 0) for pair in self.pairs)

    def count(self, sign: int) -> int:
        """Return how many files grew (1), shrank (-1) or have the same bytes (0)."""
        sizes = [(p.a.file_bytes or 0, p.b.file_bytes or 0) for p in self.pairs]
        return sum((b > a) - (b < a) == sign for a, b in sizes)


def steps(releases: Sequence[Release], by: By) -> list[Step]:
    """Return each group of cells from each release to the next."""
    found = []
    for before, after in itertools.pairwise(releases):
        groups: dict[str, list[Pair]] = {}
        for pair in _both(before, after).pairs:
            groups.setdefault(_GROUPS[by](pair.b), []).append(pair)
        found += [Step(before.name, after.name, group, pairs) for group, pairs in groups.items()]
    return found


def held(before: Release, after: Release) -> tuple[Comparison, Counter[str]]:
    """Return what a gate compares, and what it can't hold to the byte: the reason -> cells."""
    found = _both(before, after)
    said: Counter[str] = Counter()
    ours, theirs = _made_of(before.results), _made_of(after.results)
    kept = []
    for pair in found.pairs:
        a, b = ours.get(pair.a.compress), theirs.get(pair.b.compress)
        if a is None or b is None:
            continue
        reason = _reason(a, b)
        if reason:
            said[reason] += 1
        else:
            kept.append(pair)
    return replace(found, pairs=kept), said


def speeds_beside(before: Release, after: Release, codec: str) -> dict[str, dict[str, float]]:
    """Return how many times as fast each codec became to encode and to decode, beside another."""
    pairs = _both(before, after).pairs
    return {
        "encode": _beside(pairs, codec, lambda row: row.encode_mb_s),
        "decode": _beside(pairs, codec, lambda row: row.decode_mb_s),
    }


def _beside(
    pairs: Sequence[Pair], codec: str, of: Callable[[Row], float | None]
) -> dict[str, float]:
    """Return how many times as fast each codec became, beside another one.

    Both speeds are taken in the same run, so a slower machine, or a slow hour, divides out.

    Parameters
    ----------
    codec
        The one whose speed the others are divided by.
    of
        The speed of a row.

    Returns
    -------
    dict
        Codec -> geometric mean over the cells where both were timed.
    """

    def gains(chosen: Callable[[Row], bool]) -> Iterator[tuple[tuple[str, str, int], str, float]]:
        for pair in pairs:
            before, after = of(pair.a), of(pair.b)
            if before and after and chosen(pair.b):
                cell = pair.b.model, pair.b.recipe, pair.b.seed
                yield cell, pair.b.codec, math.log(after / before)

    usual = {cell: gain for cell, _, gain in gains(lambda row: row.codec == codec)}
    found: dict[str, list[float]] = {}
    for cell, name, gain in gains(lambda row: row.codec != codec):
        if cell in usual:
            found.setdefault(name, []).append(gain - usual[cell])
    return {name: math.exp(math.fsum(logs) / len(logs)) for name, logs in found.items()}


def _both(before: Release, after: Release) -> Comparison:
    return of_runs(before.name, before.results.every_row, after.name, after.results.every_row)


@dataclass(frozen=True, slots=True)
class _MadeOf:
    weights: str
    code: dict[str, str]


def _made_of(found: Results) -> dict[str, _MadeOf]:
    """Return what each file was made of, by the key of its record."""
    points = found.records.points
    return {
        cell.compress: _MadeOf(points[cell.checkpoint].weights_sha256, cell.code)
        for cell in found.records.cells
        if cell.checkpoint in points
    }


def _reason(a: _MadeOf, b: _MadeOf) -> str:
    if a.weights != b.weights:
        return "other float weights"
    changed = sorted(name for name in {*a.code, *b.code} if a.code.get(name) != b.code.get(name))
    return f"other versions of {', '.join(changed)}" if changed else ""
