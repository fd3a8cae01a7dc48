"""The first screen as text that fits: at most 40 lines at 100 columns, nothing cut."""

from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from slashbench.bench.report.boards.first_screen import Limits, section
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.output.terminal import EMPTY
from slashbench.bench.report.output.terminal_table import grid
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import Table

WIDTH, LINES = 100, 40
WHERE = 3  # lines that say where the rest is


def fitted(results: Results, width: int = WIDTH, lines: int = LINES) -> Section:
    """Return the largest first screen that fits."""
    limits = Limits()
    while True:
        made = section(results, limits)
        smaller = limits.smaller()
        if smaller is None or _height(made, width) <= lines - WHERE:
            return made
        limits = smaller


def show(results: Results, console: Console, page: str = "") -> None:
    """Print the first screen and where the rest is; page: its address, where one was written."""
    if not results.every_row:
        console.print(EMPTY)
        return
    draw(fitted(results, max(console.width, WIDTH)), console)
    where = ["full recipes: bench report --boards names", "all boards: bench report --all"]
    where += [f"page: {page}"] if page else ["page: --html FILE"]
    console.print(Text("\n" + " · ".join(where), style="dim"))


def draw(screen: Section, console: Console) -> None:
    """Print one screen."""
    console.print(Text(screen.about))
    for part in screen.parts:
        if isinstance(part, Table):
            console.print(Text(f"\n{part.title}", style="bold"))
            console.print(grid(part))
            if part.about:
                console.print(Text(part.about, style="dim"))
    said = [part for part in screen.parts if isinstance(part, str)]
    if said:
        console.print(Text("\nFindings", style="bold"))
    for text in said:
        console.print(Text(f"- {text}"))


def _height(screen: Section, width: int) -> int:
    console = Console(file=io.StringIO(), width=width)
    draw(screen, console)
    output = console.file
    assert isinstance(output, io.StringIO)
    return len(output.getvalue().splitlines())
