"""Pages of the reference that no hand writes: what the registries hold, and the help of each verb.

They are written to `generated/` before Sphinx looks for pages. A page that has not
changed is left alone, so that Sphinx need not read it again.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from sphinx.application import Sphinx

from slashbench import selector
from slashbench.bench import cli
from slashbench.bench.data.catalog import DATASETS
from slashbench.bench.models.catalog import MODELS
from slashbench.bench.plan import suite_files
from slashbench.codecs.catalog import CODECS, DELTAS
from slashbench.contracts import Model
from slashbench.registry import Registry
from slashbench.trainers.catalog import QUANTISERS, REGIMES, TRANSFORMS

#: Page -> registry, its title, and what stands below it.
REGISTRIES: dict[str, tuple[Registry[Any], str, str]] = {
    "codecs": (CODECS, "Codecs", "Each name with its settings, as ``--codecs`` takes them."),
    "deltas": (
        DELTAS,
        "Codecs with a base",
        "They code what differs from a tensor that the decoder has as well. "
        "``bench compress --base`` and ``bench speed --data delta:...`` use them.",
    ),
    "regimes": (
        REGIMES,
        "Training regimes",
        "The first link of a recipe: how weights are trained.",
    ),
    "transforms": (
        TRANSFORMS,
        "Transforms",
        "The middle links of a recipe: what is done to trained weights before they are quantized.",
    ),
    "quantisers": (
        QUANTISERS,
        "Quantisers",
        "The last link of a recipe: weights become integers and scales.",
    ),
    "models": (MODELS, "Models", "Weights, data and a metric. ``--models`` takes these names."),
    "datasets": (DATASETS, "Data sets", "What models are trained and evaluated on."),
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages when a build begins."""
    app.connect("builder-inited", _write_all)
    return {"parallel_read_safe": True}


def _write_all(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    pages = {name: _registry_page(*given) for name, given in REGISTRIES.items()}
    pages |= {"suites": _suites_page(), "command": _command_page()}
    for name, lines in pages.items():
        write(folder / f"{name}.rst", lines)


def write(path: Path, lines: Iterable[str]) -> None:
    """Write a page, unless it says the same already."""
    text = "\n".join(lines) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def titled(title: str, line: str) -> list[str]:
    """Return a heading, underlined by a mark."""
    return [title, line * len(title), ""]


def _registry_page(registry: Registry[Any], title: str, about: str) -> Iterator[str]:
    """Yield a page with an entry a section: how it is written, its docstring, what it needs."""
    yield from titled(title, "=")
    yield from [about, ""]
    for status in registry.statuses():
        if status.origin != "slashbench":
            continue  # a plug-in of whoever builds these pages
        yield from titled(status.name, "-")
        cls = _class(registry, status.name)
        if not status.available:
            yield from [f"Not available where these pages were built: {status.reason}", ""]
        if cls is None:
            continue
        settings = [
            f"{setting.name}={selector.spell_value(setting.default)}"
            for setting in selector.settings_of(cls)
        ]
        yield from ["::", "", "   " + ":".join([status.name, *settings]), ""]
        yield from _facts(cls)
        yield from [f".. autoclass:: {cls.__module__}.{cls.__qualname__}", "   :noindex:", ""]


def _class(registry: Registry[Any], name: str) -> type | None:
    """Return the class of an entry, also where its data is missing; None without its libraries."""
    module, _, attribute = registry.entry(name).target.partition(":")
    try:
        found: type = getattr(importlib.import_module(module), attribute)
    except ImportError:
        return None
    return found


def _facts(cls: type) -> Iterator[str]:
    if issubclass(cls, Model):
        yield f":Metric: {cls.metric}; losses up to {cls.tolerance:g} count as equal"
        yield f":Source: {cls.source}"
        yield f":Licence: {cls.licence}"
        yield ""


def _suites_page() -> Iterator[str]:
    """Yield a page of the named matrices, each as its file has it."""
    yield from titled("Suites", "=")
    yield from [
        "Named matrices: ``bench run --suite NAME``.",
        "",
    ]
    for name in suite_files.suites():
        yield from titled(name, "-")
        yield from [suite_files.about(name), "", ".. code-block:: toml", ""]
        text = (suite_files.SUITES / f"{name}.toml").read_text(encoding="utf-8")
        yield from ["   " + line for line in text.splitlines()]
        yield ""


def _command_page() -> Iterator[str]:
    """Yield a page of what `--help` says of each verb."""
    yield from titled("The command", "=")
    with mock.patch.dict(os.environ, {"COLUMNS": "100"}):
        yield from _help(cli.parser())
        for name, verb in _verbs(cli.parser()).items():
            yield from titled(f"bench {name}", "-")
            yield from _help(verb)


def _help(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield from [".. code-block:: text", ""]
    yield from ["   " + line for line in parser.format_help().splitlines()]
    yield ""


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (action,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    verbs: dict[str, argparse.ArgumentParser] = action.choices
    return verbs
