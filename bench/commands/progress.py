"""What a person sees while cells run: the stage at hand, cells left and the time they may take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from slashbench.bench.plan.estimate import Countdown
from slashbench.bench.plan.matrix import Cell
from slashbench.record import CellRecord


class Display:
    """A live display on a terminal, with a line for each process; elsewhere a line per cell."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.done = 0
        self.count = 0
        self._countdown = Countdown([])
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._all = self._bars.add_task("cells", note="")
        self._lines: dict[str, TaskID] = {}  # of a process

    @contextmanager
    def over(self, cells: Sequence[Cell]) -> Iterator[None]:
        """Show progress over `cells` while the context lasts."""
        self.count = len(cells)
        self._countdown = Countdown(cells)
        self._bars.update(self._all, total=self.count)
        with self._bars:
            yield

    def stage(self, who: str, cell: str, name: str) -> None:
        """Show the stage that the process `who` starts."""
        if name == "train" and not self.console.is_terminal:
            self.console.print(f"train {cell}")
        self._line(who, description=f"  {name}", note=cell, completed=0)

    def progress(self, who: str, fraction: float, text: str) -> None:
        """Show how far the stage at hand is."""
        self._line(who, completed=round(100 * fraction), note=text)

    def waiting(self, reason: str) -> None:
        """Show that nothing can be done for now."""
        self._bars.update(self._all, note=f"waits: {reason}")

    def finished(self, cell: Cell, record: CellRecord) -> None:
        """Count a finished cell."""
        self.done += 1
        self._countdown.finished(cell)
        self._bars.update(self._all, completed=self.done, note=self._countdown.spelled())
        if record.status == "failed":
            self.console.print(
                Text.assemble(("failed", "red"), f" {cell}: {record.reason}"), soft_wrap=True
            )
        elif not self.console.is_terminal:
            self.console.print(
                f"[{self.done}/{self.count}] {record.wall_s:.1f} s  {cell}",
            )

    def _line(self, who: str, **fields: Any) -> None:
        if who not in self._lines:
            self._lines[who] = self._bars.add_task("", total=100, note="")
        self._bars.update(self._lines[who], **fields)
        self._bars.update(self._all, note=self._countdown.spelled())
