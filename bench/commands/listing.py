"""The verb `list`: the entries of a registry, and the pip command for those not installed."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from slashbench.bench.commands.parsing import Verbs
    from slashbench.registry import Registry

KINDS = ("codecs", "trainers", "models", "datasets", "suites", "licences")


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    listing = verbs.add_parser(
        "list", help="list entries, and the pip command for what is not installed"
    )
    listing.add_argument("kind", choices=KINDS)
    listing.add_argument("--json", action="store_true", help="print JSON, for programs")
    listing.set_defaults(verb=_list)


def _list(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import console

    if options.kind == "licences":
        return _licences(options.json)
    registries = _registries(options.kind)
    entries = _suites() if options.kind == "suites" else _entries(registries)
    if options.json:
        print(json.dumps(entries, indent=1))
        return 0
    out = console()
    _show(entries, out)
    for registry in registries:
        for problem in registry.problems:
            out.print(problem, style="yellow")
    return 0


def _licences(as_json: bool) -> int:
    from rich.text import Text

    from slashbench.bench.commands.console import console
    from slashbench.bench.doctor.licences import licences

    found = list(licences())
    if as_json:
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=1))
        return 0
    table = _table("name", "for", "version", "licence")
    for one in found:
        table.add_row(*map(Text, (one.name, one.use, one.version, one.licence)))
    out = console()
    out.print(table)
    out.print("of packages as they say themselves; nothing here is legal advice", style="dim")
    return 0


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _registries(kind: str) -> tuple[Registry[Any], ...]:
    from slashbench.bench.data.catalog import DATASETS
    from slashbench.bench.models.catalog import MODELS
    from slashbench.codecs.catalog import CODECS, DELTAS
    from slashbench.trainers.catalog import QUANTISERS, REGIMES, TRANSFORMS

    kinds: dict[str, tuple[Registry[Any], ...]] = {
        "codecs": (CODECS, DELTAS),
        "trainers": (REGIMES, TRANSFORMS, QUANTISERS),
        "models": (MODELS,),
        "datasets": (DATASETS,),
    }
    return kinds.get(kind, ())


def _entries(registries: tuple[Registry[Any], ...]) -> list[dict[str, Any]]:
    """Return a dictionary per entry: name, kind, available, reason, summary, origin, settings."""
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
        for registry in registries
        for status in registry.statuses()
    ]


def _show(entries: list[dict[str, Any]], console: Console) -> None:
    """Print entries as a table."""
    from rich.text import Text

    table = _table("name", "kind", "settings (default)", "what it is")
    for entry in entries:
        settings = ", ".join(f"{key}={value}" for key, value in entry["settings"].items())
        about = Text(entry["summary"])
        if not entry["available"]:
            about = Text.assemble(("missing:", "red"), f" {entry['reason']}")
        table.add_row(Text(entry["name"]), Text(entry["kind"]), Text(settings), about)
    console.print(table)


def _settings(registry: Registry[Any], name: str) -> dict[str, str]:
    from slashbench import selector

    return {
        setting.name: selector.spell_value(setting.default)
        for setting in selector.settings_of(registry.get(name))
    }


def _suites() -> list[dict[str, Any]]:
    from slashbench.bench.plan import suite_files

    return [_suite(name, suite_files.about(name)) for name in suite_files.suites()]


def _suite(name: str, about: str) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "suite",
        "available": True,
        "reason": "",
        "summary": about,
        "origin": "slashbench",
        "settings": {},
    }
