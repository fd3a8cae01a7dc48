"""Configured entries of a registry from a list as users write it: `all`, `zstd:level=1..9,rans`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from slashbench import selector
from slashbench.errors import BrokenPlugin, MissingDependency
from slashbench.link import Link, links
from slashbench.registry import Registry
from slashbench.selector import Selector


def entries(
    registry: Registry[Any], text: str, left_out: dict[str, str], first: Sequence[str] = ()
) -> Iterator[Link[Any]]:
    """Each configuration that the list stands for; `all` begins with the names in `first`.

    What `all` names but can't run here goes to `left_out` with its reason; what the user names by
    itself and can't run is an error: UnknownName, BadSetting, MissingDependency or BrokenPlugin.
    """
    for item in selector.split_list(text):
        if item != "all":
            yield from links(registry, selector.parse(item))
            continue
        names = registry.names()
        for name in sorted(names, key=lambda n: (n not in first, names.index(n))):
            try:
                yield from links(registry, Selector(name))
            except (MissingDependency, BrokenPlugin) as error:
                left_out[f"{registry.kind} {name}"] = str(error)
