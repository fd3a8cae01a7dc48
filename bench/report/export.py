"""Boards as files: Markdown for people; CSV and JSON, one row per cell, for programs."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, fields
from pathlib import Path

from slashbench.bench.files import write_atomically
from slashbench.bench.report.markdown import to_markdown
from slashbench.bench.report.rows import Row, rows
from slashbench.bench.store import Store


def to_csv(store: Store) -> str:
    """One line per cell; empty where nothing was measured."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows(store))
    return out.getvalue()


def to_json(store: Store) -> str:
    """A list with one object per cell; null where nothing was measured."""
    return json.dumps([asdict(row) for row in rows(store)], indent=1) + "\n"


FORMATS = {"md": to_markdown, "csv": to_csv, "json": to_json}


def write(store: Store, kind: str, path: Path) -> None:
    """Write one board: `md`, `csv` or `json`. Raises StoreUnusable."""
    write_atomically(path, FORMATS[kind](store).encode())


def write_boards(store: Store) -> list[str]:
    """Write leaderboard.md, .csv and .json beside the records; says where."""
    names = []
    for kind, board in FORMATS.items():
        store.files.write(f"leaderboard.{kind}", board(store).encode())
        names.append(f"{store.where}/leaderboard.{kind}")
    return names
