"""Conditions of `bench compare --fail-on`: under which differences the command fails.

Bytes are exact: one cell is enough. A metric or a speed fails only with its whole interval beyond
the limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from slashbench.bench.report.analysis.compare import (
    Comparison,
    What,
    decode_change,
    encode_change,
    metric_change,
)
from slashbench.bench.report.statistics import Interval
from slashbench.bench.report.tables import NOTHING, interval, number, percent
from slashbench.errors import UsageError

CHANGES = {"metric": metric_change, "encode": encode_change, "decode": decode_change}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition under which a comparison fails: `bytes>0`, `decode<-10%`."""

    text: str
    what: What
    above: bool
    limit: float  # a share; of a metric in its unit

    def violations(self, found: Comparison) -> list[str]:
        """Return each cell (bytes), codec (speed) or recipe (metric) that meets it beyond doubt."""
        if self.what == "bytes":
            return [
                f"{self.text}: {p.b.model} · {p.b.recipe} · {p.b.codec} · seed {p.b.seed}: "
                f"{percent(p.growth, 3, sign=True)}, from {p.a.file_bytes:.0f} to "
                f"{p.b.file_bytes:.0f} bytes"
                for p in found.pairs
                if self._met(p.growth)
            ]
        said = []
        groups = found.by_recipe() if self.what == "metric" else found.by_codec()
        for name, pairs in groups.items():
            change = CHANGES[self.what](pairs)
            end = None if change is None else (change.low if self.above else change.high)
            if end is not None and self._met(end):
                said.append(f"{self.text}: {name}: {spelled(self.what, change)}")
        return said

    def _met(self, value: float) -> bool:
        return value > self.limit if self.above else value < self.limit


_CONDITION = re.compile(r"(bytes|metric|encode|decode)([<>])([-+]?\d+(?:\.\d+)?)(%?)")


def conditions(text: str) -> list[Condition]:
    """Parse a list such as `bytes>0,decode<-10%`. Raises UsageError.

    >>> [condition.limit for condition in conditions("bytes>0,decode<-10%,metric<-0.5")]
    [0.0, -0.1, -0.5]
    """
    made = []
    for item in filter(None, text.replace(" ", "").split(",")):
        found = _CONDITION.fullmatch(item)
        if found is None:
            raise UsageError(
                f"--fail-on {item!r}: write WHAT<NUMBER or WHAT>NUMBER with WHAT of bytes, metric, "
                "encode, decode, such as bytes>0,decode<-10%,metric<-0.5"
            )
        what, sign, number_text, share = found.groups()
        if what == "metric" and share:
            raise UsageError(f"--fail-on {item!r}: a metric is compared in its unit, not in %")
        limit = float(number_text) / (100 if share else 1)
        if what in ("encode", "decode") and not share and limit:
            raise UsageError(f"--fail-on {item!r}: a change of speed is a share, such as -10%")
        made.append(Condition(item, what, sign == ">", limit))  # type: ignore[arg-type]
    return made


def violations(found: Comparison, asked: Iterable[Condition]) -> list[str]:
    """Return a line for each condition that holds, and for cells that fail now or are missing."""
    broken = [f"failed: {r.model} · {r.recipe} · {r.codec}: {r.reason}" for r in found.broken]
    broken += [
        f"missing: {r.model} · {r.recipe} · {r.codec} · seed {r.seed}"
        for r in found.only_a
        if r.status == "ok"
    ]
    return broken + [text for condition in asked for text in condition.violations(found)]


def spelled(what: What, change: Interval | None) -> str:
    """Return a change with its interval: of a metric in its unit, else a share in percent."""
    if change is None:
        return NOTHING
    if what != "metric":
        return interval(change)
    text = number(change.estimate, 3, sign=True)
    if change.low is None or change.high is None:
        return text
    return f"{text} [{change.low:+.3f}, {change.high:+.3f}]"
