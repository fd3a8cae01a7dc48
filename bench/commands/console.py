"""Where verbs print: text of users is shown as it is, and every terminal can show it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.progress import BarColumn, Progress, TextColumn
from rich.segment import Segment

from slashbench.bench.commands.streams import be_lenient, spelled

_NARROWEST = 20
_USUAL = 140  # characters that a board wants where there is no terminal


def console(stderr: bool = False) -> Console:
    """Return a console that takes no text as markup.

    It is as wide as the terminal, or as a board wants where there is none. `COLUMNS` says
    otherwise, if it is a number above 0. Characters that the terminal's encoding does not have are
    replaced, escape sequences in names are spelled out.
    """
    be_lenient(sys.stderr if stderr else sys.stdout)
    made = _Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=False)
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        made.width = max(int(columns), _NARROWEST)
    elif not made.is_terminal:
        made.width = _USUAL
    elif columns:
        made.width = max(shutil.get_terminal_size().columns, _NARROWEST)
    made.push_render_hook(_Spelled())
    return made


class Bar:
    """One progress bar with a line of text, on a terminal only."""

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
        """Show what is going on and how far it is, 0 to 1."""
        self._bars.update(self._task, description=text, completed=fraction)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave to `main` what rich would end the process for."""
        raise BrokenPipeError


class _Spelled(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Safe(renderable) for renderable in renderables]


class _Safe:
    """A renderable whose text holds no control characters but newlines."""

    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _safe(console.render(self._inner, options))


def _safe(segments: Iterable[Segment]) -> Iterable[Segment]:
    for segment in segments:
        if segment.control:
            yield segment
        else:
            yield Segment(spelled(segment.text), segment.style)
