"""`bench list`: what there is, what is missing, and which pip line brings it."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from slashbench import selector
from slashbench.bench.data.catalog import DATASETS
from slashbench.bench.models.catalog import MODELS
from slashbench.bench.plan import matrix
from slashbench.codecs.catalog import CODECS
from slashbench.registry import Registry
from slashbench.trainers.catalog import QUANTISERS, REGIMES, TRANSFORMS

KINDS: dict[str, tuple[Registry[Any], ...]] = {
    "codecs": (CODECS,),
    "trainers": (REGIMES, TRANSFORMS, QUANTISERS),
    "models": (MODELS,),
    "datasets": (DATASETS,),
}


def entries(kind: str) -> list[dict[str, Any]]:
    """One dictionary per entry: name, kind, available, reason, summary, origin, settings."""
    if kind == "suites":
        return [_suite(name) for name in matrix.suites()]
    return [
        {
            "name": status.name,
            "kind": registry.kind,
            "available": status.available,
            "reason": status.reason,
            "summary": status.summary,
            "origin": status.origin,
            "settings": _settings(registry, status.name) if status.available else {},
        }
        for registry in KINDS[kind]
        for status in registry.statuses()
    ]


def problems(kind: str) -> list[str]:
    """Plug-ins that were skipped, and why."""
    return [problem for registry in KINDS.get(kind, ()) for problem in registry.problems]


def show(kind: str, console: Console) -> None:
    """Print the entries of a kind as a table."""
    table = Table(box=None, pad_edge=False)
    for column in ("name", "kind", "settings (default)", "what it is"):
        table.add_column(column, overflow="fold")
    for entry in entries(kind):
        settings = ", ".join(f"{key}={value}" for key, value in entry["settings"].items())
        about = entry["summary"] if entry["available"] else f"[red]missing:[/red] {entry['reason']}"
        table.add_row(entry["name"], entry["kind"], settings, about)
    console.print(table)
    for problem in problems(kind):
        console.print(f"[yellow]{problem}[/yellow]")


def as_json(kind: str) -> str:
    """The entries of a kind as JSON."""
    return json.dumps(entries(kind), indent=1)


def _settings(registry: Registry[Any], name: str) -> dict[str, str]:
    return {
        setting.name: selector.spell_value(setting.default)
        for setting in selector.settings_of(registry.get(name))
    }


def _suite(name: str) -> dict[str, Any]:
    first = (matrix.SUITES / f"{name}.toml").read_text().partition("\n")[0]
    return {
        "name": name,
        "kind": "suite",
        "available": True,
        "reason": "",
        "summary": first.removeprefix("# "),
        "origin": "slashbench",
        "settings": {},
    }
