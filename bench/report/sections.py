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
class Dot:
    """A point of a picture, in its units, and what a tooltip says of it."""

    x: float
    y: float
    low: float  # ends of the interval
    high: float
    family: int  # index
    square: bool
    filled: bool
    told: Sequence[str]


@dataclass(frozen=True, slots=True)
class DrawnCurve:
    """Points of one kind, joined."""

    family: int
    path: str


@dataclass(frozen=True, slots=True)
class Family:
    """What is drawn in one colour."""

    name: str
    colour: str
    square: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart that is laid out: a page draws it without a library."""

    name: str  # unique on a page
    title: str
    about: str
    width: int
    height: int
    frame: tuple[float, float, float, float]  # left, top, right, bottom
    dots: Sequence[Dot]
    curves: Sequence[DrawnCurve]
    front: str
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    tolerance: float
    x_title: str
    y_title: str
    families: Sequence[Family]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report under a heading; a paragraph is a `str`."""

    name: str  # what `bench report --boards` and links on a page call it
    title: str
    about: str
    parts: Sequence[Table | Figure | Picture | str] = ()
