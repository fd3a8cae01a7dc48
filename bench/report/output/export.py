"""Boards as files: Markdown and HTML for people; CSV, JSON and Parquet for programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


#: Name of a file -> its format: those beside the records of a run, and beside published records.
BESIDE = {f"leaderboard.{kind}": kind for kind in FORMATS}
PUBLISHED = {"README.md": "md"}  # records.jsonl.zst beside it is the data


def write(results: Results, kind: str, path: Path, boards: Sequence[str] = ()) -> None:
    """Write one of FORMATS. Raises StoreUnusable.

    boards: what Markdown holds in place of the first screen; other formats hold everything anyway.
    """
    if kind == "md" and boards:
        write_atomically(path, to_markdown(results, boards).encode())
    else:
        write_atomically(path, _made(results, kind))


def write_boards(results: Results, store: Store, files: Mapping[str, str] = BESIDE) -> list[str]:
    """Write boards beside the records; return where they are. files: name -> one of FORMATS."""
    for name, kind in files.items():
        store.files.write(name, _made(results, kind))
    return [f"{store.files.where}/{name}" for name in files]


def _made(results: Results, kind: str) -> bytes:
    made = FORMATS[kind](results)
    return made.encode() if isinstance(made, str) else made
