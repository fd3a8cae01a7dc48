"""A progress bar for one piece of work."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn


class Bar:
    """One bar with a line of text, on a terminal only."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            BarColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("", total=1.0)

    def __enter__(self) -> Bar:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, text: str, fraction: float) -> None:
        """Say what is going on and how far it is."""
        self._bars.update(self._task, description=text, completed=fraction)
