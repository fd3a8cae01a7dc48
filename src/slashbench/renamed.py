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


def current(kind: str, text: str) -> str:
    """Return a selector with its name as it is today; settings are kept.

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
    """
    name, colon, settings = text.partition(":")
    return NAMES.get(kind, {}).get(name, name) + colon + settings
