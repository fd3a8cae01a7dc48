"""Boards as files: Markdown and HTML for people; CSV, JSON and Parquet for programs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from slashbench.bench.machine.atomic_files import write_atomically
from slashbench.bench.report.data.export_rows import to_csv, to_json, to_parquet
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.output.leaderboard_page import to_html
from slashbench.bench.report.output.markdown import to_markdown
from slashbench.bench.store.store import Store

FORMATS: dict[str, Callable[[Results], str | bytes]] = {
    "md": to_markdown,
    "html": to_html,
    "csv": to_csv,
    "json": to_json,
    "parquet": to_parquet,
}


#: The FORMATS that go with published records: one for people, one for programs.
PUBLISHED = ("md", "csv")


def write(results: Results, kind: str, path: Path) -> None:
    """Write one of FORMATS. Raises StoreUnusable."""
    write_atomically(path, _made(results, kind))


def write_boards(results: Results, store: Store, kinds: Collection[str] = FORMATS) -> list[str]:
    """Write leaderboard.md and other FORMATS beside the records; return where they are."""
    for kind in kinds:
        store.files.write(f"leaderboard.{kind}", _made(results, kind))
    return [f"{store.files.where}/leaderboard.{kind}" for kind in kinds]


def _made(results: Results, kind: str) -> bytes:
    made = FORMATS[kind](results)
    return made.encode() if isinstance(made, str) else made
