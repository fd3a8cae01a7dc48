"""Batches as trees: tensors in nested lists, tuples and mappings."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any


def leaves(tree: Any) -> Iterator[Any]:
    """Yield everything in a tree that is not a container, depth first, mappings by sorted key."""
    if isinstance(tree, Mapping):
        for key in sorted(tree, key=str):
            yield from leaves(tree[key])
    elif isinstance(tree, tuple | list):
        for part in tree:
            yield from leaves(part)
    else:
        yield tree


def mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Return a tree of the same containers with every leaf replaced by `change(leaf)`.

    >>> mapped({"ids": [1, 2], "pair": (3, 4)}, lambda leaf: 10 * leaf)
    {'ids': [10, 20], 'pair': (30, 40)}
    """
    if isinstance(tree, Mapping):
        changed: Any = copy.copy(tree) if isinstance(tree, MutableMapping) else dict(tree)
        for key, part in tree.items():
            changed[key] = mapped(part, change)
        return changed
    if isinstance(tree, tuple | list):
        parts = [mapped(part, change) for part in tree]
        named: Any = getattr(type(tree), "_make", type(tree))  # a named tuple takes its fields
        return named(parts)
    return change(tree)
