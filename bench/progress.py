"""What a person sees while cells run: the stage at hand, cells left and the time they may take."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from slashbench.bench.matrix import Cell
from slashbench.record import CellRecord


def estimate_s(cells: Sequence[Cell]) -> float:
    """Seconds the cells may take on two cores, from the models' own hints."""
    trained = {(c.model.text, c.recipe.regime.text, c.seed): c for c in cells if c.model.item.plan}
    training = sum(cell.model.item.train_hint_s for cell in trained.values())
    return training + sum(cell.model.item.cell_hint_s for cell in cells)


class Display:
    """A live display on a terminal, one line per finished cell elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.cells: Sequence[Cell] = ()
        self.done = 0
        self._started = time.monotonic()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._all = self._bars.add_task("cells", note="")
        self._stage = self._bars.add_task("", total=100, note="", visible=False)

    @contextmanager
    def over(self, cells: Sequence[Cell]) -> Iterator[None]:
        """Show progress over `cells` while the context lasts."""
        self.cells = cells
        self._started = time.monotonic()
        self._bars.update(self._all, total=len(cells))
        with self._bars:
            yield

    def stage(self, cell: Cell, name: str) -> None:
        """Show the stage at hand."""
        if name == "train" and not self.console.is_terminal:
            self.console.print(f"train {cell}", highlight=False, markup=False)
        self._bars.update(
            self._stage, description=f"  {name}", note=str(cell), completed=0, visible=True
        )
        self._bars.update(self._all, note=self.time_left())

    def progress(self, fraction: float, text: str) -> None:
        """Show how far the stage at hand is."""
        self._bars.update(self._stage, completed=round(100 * fraction), note=text)
        self._bars.update(self._all, note=self.time_left())

    def finished(self, cell: Cell, record: CellRecord) -> None:
        """Count a finished cell."""
        self.done += 1
        self._bars.update(self._all, completed=self.done, note=self.time_left())
        if record.status == "failed":
            self.console.print(f"[red]failed[/red] {cell}: {record.reason}", highlight=False)
        elif not self.console.is_terminal:
            self.console.print(
                f"[{self.done}/{len(self.cells)}] {record.wall_s:.1f} s  {cell}",
                highlight=False,
                markup=False,
            )

    def time_left(self) -> str:
        """An estimate: what is left by the hints, corrected by how the hints did so far."""
        elapsed = time.monotonic() - self._started
        left = estimate_s(self.cells[self.done :])
        hinted = max(estimate_s(self.cells) - left, 0.0)
        pace = elapsed / hinted if hinted > 30 else 1.0
        return f"about {spell_seconds(left * min(max(pace, 0.2), 5.0))} left"


def spell_seconds(seconds: float) -> str:
    """`45 s`, `3 min` or `1.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
