"""Boards as files: Markdown and HTML for people; CSV, JSON and Parquet for programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from slashbench.bench.files import write_atomically
from slashbench.bench.report.cells import to_csv, to_json, to_parquet
from slashbench.bench.report.markdown import to_markdown
from slashbench.bench.report.results import Results
from slashbench.bench.report.web import to_html

FORMATS: dict[str, Callable[[Results], str | bytes]] = {
    "md": to_markdown,
    "html": to_html,
    "csv": to_csv,
    "json": to_json,
    "parquet": to_parquet,
}


def write(results: Results, kind: str, path: Path) -> None:
    """Write one of FORMATS. Raises StoreUnusable."""
    made = FORMATS[kind](results)
    write_atomically(path, made.encode() if isinstance(made, str) else made)


def write_boards(results: Results, folder: Path) -> list[Path]:
    """Write leaderboard.md and the other FORMATS into `folder`; their paths are returned."""
    paths = []
    for kind in FORMATS:
        path = folder / f"leaderboard.{kind}"
        write(results, kind, path)
        paths.append(path)
    return paths
