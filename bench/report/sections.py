"""What a report is made of, whatever shows it: sections of tables, figures and paragraphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slashbench.bench.report.tables import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart: its Vega-Lite specification, and in words what it shows."""

    name: str  # of a file, and unique on a page
    title: str
    about: str
    spec: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report under a heading; a paragraph is a `str`."""

    name: str  # what `bench report --boards` and links on a page call it
    title: str
    about: str
    parts: Sequence[Table | Figure | str] = ()
