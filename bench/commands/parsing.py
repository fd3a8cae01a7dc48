"""What the parsers of all verbs share: their class, and the options that several of them have."""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any


class Parser(argparse.ArgumentParser):
    """Show examples as they are written, and verbs in groups.

    Attributes
    ----------
    headings
        Name of the first verb of a group -> the title of the group.
    """

    def __init__(self, **options: Any) -> None:
        self.headings: dict[str, str] = {}
        # no method of self: its repr would hold that of the parser, which holds this
        formatter: Any = functools.partial(_ByGroup, headings=self.headings)
        super().__init__(formatter_class=formatter, **options)


class _ByGroup(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str, headings: Mapping[str, str]) -> None:
        super().__init__(prog)
        self._headings = headings

    def _format_action(self, action: argparse.Action) -> str:
        text = super()._format_action(action)
        title = self._headings.get(action.dest)
        return f"\n  {title}:\n{text}" if title else text


if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[Parser]


def out_option() -> Parser:
    """Return a parent parser that brings `--out`."""
    parent = Parser(add_help=False)
    parent.add_argument(
        "--out",
        default="results/local",
        metavar="DIR",
        help="results folder, or a URL such as s3://bucket/results that fsspec opens: records, "
        "artifacts and boards (default: %(default)s)",
    )
    return parent


def finite(text: str) -> float:
    """Return a number that is neither infinite nor NaN. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return number


def positive(text: str) -> float:
    """Return a finite number above 0. Raises ArgumentTypeError."""
    number = finite(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return number
