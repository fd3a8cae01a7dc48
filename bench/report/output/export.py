"""Boards as files: Markdown and HTML for people; CSV, JSON and Parquet for programs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

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

#: Name of the file that holds the hash of what the boards beside it were made of.
MADE_OF = "leaderboard.sha256"

REPORT = Path(__file__).parents[1]  # what boards are made by


def write(results: Results, kind: str, path: Path, boards: Sequence[str] = ()) -> None:
    """Write one of FORMATS. Raises StoreUnusable.

    boards: what Markdown holds in place of the first screen; other formats hold everything anyway.
    """
    if kind == "md" and boards:
        write_atomically(path, to_markdown(results, boards).encode())
    else:
        write_atomically(path, made(results, kind))


def write_boards(results: Results, store: Store, files: Mapping[str, str] = BESIDE) -> list[str]:
    """Write boards beside the records; return where they are. files: name -> one of FORMATS."""
    for name, kind in files.items():
        store.files.write(name, made(results, kind))
    return [f"{store.files.where}/{name}" for name in files]


def refresh(results: Results, store: Store) -> list[str]:
    """Write the boards beside the records of a run; return where they are.

    Boards that were made of the same records by the same code stay as they are.
    """
    found = hashlib.sha256(msgspec.msgpack.encode(results.records))
    for path in sorted(REPORT.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            found.update(path.read_bytes())
    made_of = found.hexdigest().encode()
    if store.files.read(MADE_OF) == made_of and all(map(store.files.size, BESIDE)):
        return [f"{store.files.where}/{name}" for name in BESIDE]
    written = write_boards(results, store)
    store.files.write(MADE_OF, made_of)
    return written


def made(results: Results, kind: str) -> bytes:
    """Return the bytes of one of FORMATS."""
    board = FORMATS[kind](results)
    return board.encode() if isinstance(board, str) else board
