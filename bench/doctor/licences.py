"""Licences of all that a board runs: packages by their own metadata, models and data as registered.

What metadata don't say is said to be unknown. Nothing here is legal advice.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from slashbench.bench.data.asset_catalog import ASSETS
from slashbench.bench.data.catalog import DATASETS
from slashbench.bench.doctor import requirements
from slashbench.bench.models.catalog import MODELS
from slashbench.errors import BrokenPlugin, MissingDependency
from slashbench.registry import Registry

UNSTATED = "not stated in its metadata"
ABSENT = "not installed here"

#: Packages that an entry runs and that no extra brings.
_BESIDE = ("nncodec",)
#: Extras that boards are not made with.
_TOOLS = ("test", "lint", "docs")


@dataclass(frozen=True, slots=True)
class Licence:
    """What one thing is licensed under, as its maker says. use: "package", "model" and so on."""

    name: str
    use: str
    version: str
    licence: str


def licences() -> Iterator[Licence]:
    """Yield the licence of each package, model, data set and file to fetch."""
    yield from _packages()
    for kind, registry in (("model", MODELS), ("data set", DATASETS)):
        yield from _registered(kind, registry)
    for asset in ASSETS.values():
        yield Licence(asset.name, "files to fetch", "", asset.licence)


def _packages() -> Iterator[Licence]:
    uses: dict[str, list[str]] = {}
    for extra, needs in requirements.required().items():
        for one in needs:
            if extra not in _TOOLS and one.name != requirements.NAME:
                uses.setdefault(one.name, []).append(f"extra {extra}" if extra else "package")
    for name in _BESIDE:
        uses[name] = ["by hand"]
    for name, where in sorted(uses.items(), key=lambda item: item[0].lower()):
        use = "package" if "package" in where else ", ".join(dict.fromkeys(where))
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Licence(name, use, "", ABSENT)
        else:
            yield Licence(name, use, version, stated(name))


def stated(name: str) -> str:
    """Return what an installed distribution says of its licence: in its metadata, or in a file."""
    about = importlib.metadata.metadata(name)
    for expression in about.get_all("License-Expression") or ():
        return str(expression)
    line = next(iter(about.get_all("License") or ()), "").strip().partition("\n")[0]
    classes = [
        text.rpartition(" :: ")[2]
        for text in about.get_all("Classifier") or ()
        if text.startswith("License :: ") and text.count(" :: ") > 1
    ]
    if line and not line.startswith(("Copyright", "License ::")):
        return line
    if classes:
        return ", ".join(classes)
    for file in importlib.metadata.files(name) or ():
        if file.name.upper().startswith(("LICEN", "COPYING")) and ".dist-info" in str(file):
            begins = file.read_text(encoding="utf-8").strip().partition("\n")[0]
            return f"{UNSTATED}; its {file.name}: {begins[:60]}"
    return UNSTATED


def _registered(kind: str, registry: Registry[Any]) -> Iterator[Licence]:
    for name in registry.names():
        try:
            licence = getattr(registry.get(name), "licence", UNSTATED)
        except (MissingDependency, BrokenPlugin):
            licence = ABSENT
        yield Licence(name, kind, "", licence)
