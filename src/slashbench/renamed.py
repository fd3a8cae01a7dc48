"""Old names of registered entries, and what stands for them today.

A user who writes an old name is told the new one (`slashbench.registry`). Files, streams and
records that were written under an old name are still read: their readers ask `current`.
"""

from __future__ import annotations

#: Kind of a registry -> old name -> the selector that stands for it today.
NAMES: dict[str, dict[str, str]] = {
    "codec": {
        "max": "rans-classes",
    },
}

#: Kind of a registry -> name of an entry -> old key or `key=value` -> what stands for it today.
SETTINGS: dict[str, dict[str, dict[str, str]]] = {
    "training regime": {
        "backslash": {"rise": "warmup"},
        "backslash-q": {
            "rise": "warmup",
            "steps=one": "granularity=tensor",
            "steps=by-row": "granularity=channel",
        },
    },
}


def current(kind: str, text: str) -> str:
    """Return a selector with its name and its settings as they are today.

    Parameters
    ----------
    kind : str
        Of the registry: "codec", "quantiser" and so on.
    text : str
        `name` or `name:key=value:...`, with an old name or one of today.

    Examples
    --------
    >>> current("codec", "max:bits=12")
    'rans-classes:bits=12'
    >>> current("codec", "huffman")
    'huffman'
    >>> current("training regime", "backslash-q:lam=1:steps=by-row")
    'backslash-q:lam=1:granularity=channel'
    """
    name, *settings = text.split(":")
    today = NAMES.get(kind, {}).get(name, name)
    known = SETTINGS.get(kind, {}).get(today.partition(":")[0], {})
    return ":".join([today, *(_setting(known, pair) for pair in settings)])


def current_recipe(text: str) -> str:
    """Return a chain of selectors, or the first links of one, with today's names and settings.

    Examples
    --------
    >>> current_recipe("backslash-q:steps=by-row+prune:sparsity=0.5")
    'backslash-q:granularity=channel+prune:sparsity=0.5'
    """
    first, *others = text.split("+")
    return "+".join([current("training regime", first), *map(_later_link, others)])


def setting(name: str, key: str) -> str:
    """Return how an old setting of an entry is written today; "" if it never had it.

    Examples
    --------
    >>> setting("backslash-q", "steps")
    'granularity=tensor or granularity=channel'
    """
    found = [
        now
        for entries in SETTINGS.values()
        for old, now in entries.get(name, {}).items()
        if old.partition("=")[0] == key
    ]
    return " or ".join(found)


def _setting(known: dict[str, str], pair: str) -> str:
    key, equals, value = pair.partition("=")
    return known.get(pair) or known.get(key, key) + equals + value


def _later_link(text: str) -> str:
    """Return a link after the first, which is a transform or the quantiser, as it is today."""
    return current("quantiser", current("post-training step", text))
