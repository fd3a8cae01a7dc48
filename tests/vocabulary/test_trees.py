"""Trees of tensors: every container that batches come in keeps its type."""

from __future__ import annotations

from collections import OrderedDict, UserDict, defaultdict
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from slashbench import trees


class Pair(NamedTuple):
    first: int
    second: Any


TREES = [
    (1, 10),
    ([1, (2, 3)], [10, (20, 30)]),
    (Pair(1, [2]), Pair(10, [20])),
    ({"a": 1, "b": {"c": 2}}, {"a": 10, "b": {"c": 20}}),
    (OrderedDict(b=1, a=2), OrderedDict(b=10, a=20)),
    (defaultdict(list, a=1), defaultdict(list, a=10)),
    (UserDict(a=1), UserDict(a=10)),  # what tokenizers of transformers return
]


@pytest.mark.parametrize(("tree", "expected"), TREES, ids=lambda tree: type(tree).__name__)
def test_a_tree_keeps_its_containers(tree: Any, expected: Any) -> None:
    found = trees.mapped(tree, lambda leaf: 10 * leaf)
    assert found == expected
    assert type(found) is type(expected)


def test_what_was_given_stays_as_it_was() -> None:
    tree = {"a": [1, 2]}
    trees.mapped(tree, str)
    assert tree == {"a": [1, 2]}


def test_a_mapping_that_can_not_change_becomes_a_dict() -> None:
    assert trees.mapped(MappingProxyType({"a": 1}), str) == {"a": "1"}


def test_leaves_come_in_the_order_of_the_keys() -> None:
    assert list(trees.leaves({"b": 1, "a": [2, (3, 4)], "c": UserDict(d=5)})) == [2, 3, 4, 1, 5]
