"""What a documentation generator and `bench list` show of every registered entry."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from slashbench import selector
from slashbench.codecs.catalog import CODECS
from slashbench.trainers.catalog import QUANTISERS, REGIMES, TRANSFORMS

#: Registries of things that act, whose first line is in the imperative: "Round weights to ...".
ACTING = (CODECS, REGIMES, TRANSFORMS, QUANTISERS)
ENTRIES = [(registry, name) for registry in ACTING for name in registry.available()]
NO_VERB = {"a", "an", "the", "this", "weights", "what", "its", "two", "one", "no"}


def sections(cls: type[Any]) -> dict[str, str]:
    """Split a numpydoc docstring at its underlined titles; what stands before the first is "".

    >>> class Thing:
    ...     '''Do it.
    ...
    ...     Parameters
    ...     ----------
    ...     k : int
    ...     '''
    >>> sections(Thing)
    {'': 'Do it.', 'Parameters': 'k : int'}
    """
    text = inspect.cleandoc(cls.__doc__ or "")
    first, *rest = re.split(r"^(\w[\w ]*)\n-{3,}$", text, flags=re.MULTILINE)
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return {"": first.strip(), **{title: body.strip() for title, body in pairs}}


@pytest.mark.parametrize(("registry", "name"), ENTRIES, ids=lambda x: getattr(x, "kind", x))
def test_the_first_line_is_one_sentence_in_the_imperative(registry: Any, name: str) -> None:
    line, _, rest = inspect.cleandoc(registry.get(name).__doc__).partition("\n")
    verb = line.split()[0].lower()
    assert line.endswith(".")
    assert not rest or rest.startswith("\n")
    assert verb not in NO_VERB
    assert not verb.endswith(("s", "ing", "ed", "tion")) or verb in ("compress", "pass", "process")


@pytest.mark.parametrize(("registry", "name"), ENTRIES, ids=lambda x: getattr(x, "kind", x))
def test_every_setting_is_explained_under_parameters(registry: Any, name: str) -> None:
    cls = registry.get(name)
    body = sections(cls).get("Parameters", "")
    titles = re.findall(r"^(\w+(?:, \w+)*)(?: : .+)?$", body, re.MULTILINE)
    explained = [key.strip() for title in titles for key in title.split(",")]
    assert explained == [setting.name for setting in selector.settings_of(cls)]
