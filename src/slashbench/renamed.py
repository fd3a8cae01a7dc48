"""Old names of registered entries and of their settings, and what they are called today.

`Registry.get` and `selector.expand` refuse an old name with the new one in the message. Files,
streams and records that were written under old names are still read: their readers translate by
`current` and `current_recipe`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Settings = Mapping[str, str]

#: Kinds of the registries that name the links of a recipe, in its order.
_OF_A_RECIPE = ("training regime", "transform", "quantiser")


@dataclass(frozen=True, slots=True)
class Renamed:
    """What an old name stands for today.

    Parameters
    ----------
    name : str
        Today's name.
    before, after : mapping
        Settings that the old name implied, spelled before and after those it was given.
    defaults : mapping
        Values of today's settings that are no longer spelled out.
    """

    name: str
    before: Settings = field(default_factory=dict)
    after: Settings = field(default_factory=dict)
    defaults: Settings = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Return the new name with the settings that it needs, as a user writes it."""
        return _spelled(self.name, {**self.before, **self.after})


#: Kind of a registry -> old name of an entry -> what it is today.
ENTRIES: Mapping[str, Mapping[str, Renamed]] = {
    "codec": {"max": Renamed("rans-classes")},
    "quantiser": {
        "round": Renamed("rtn", before={"granularity": "tensor"}),
        "round-rows": Renamed("rtn", before={"granularity": "channel"}),
        "round-groups": Renamed("rtn", before={"granularity": "group"}, defaults={"size": "128"}),
        "quantize-std": Renamed("quantize", after={"unit": "std"}),
        "quantize-rows": Renamed("quantize", after={"unit": "std", "granularity": "channel"}),
        "lattice": Renamed("ongrid"),
    },
}

#: Kind of a registry -> name of an entry -> old key or `key=value` -> what stands for it today.
SETTINGS: Mapping[str, Mapping[str, Settings]] = {
    "training regime": {
        "backslash": {"rise": "warmup"},
        "backslash-q": {
            "rise": "warmup",
            "steps=one": "granularity=tensor",
            "steps=by-row": "granularity=channel",
        },
    },
}


def replacement(kind: str, name: str) -> str | None:
    """Return what `name` was renamed to, as a user writes it; None where it was not."""
    found = ENTRIES.get(kind, {}).get(name)
    return found.text if found else None


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


def current(kind: str, text: str) -> str:
    """Return a selector as it is spelled today; one that was not renamed is returned unchanged.

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
    >>> current("quantiser", "round-groups:bits=4:size=64")
    'rtn:granularity=group:bits=4:size=64'
    >>> current("codec", "huffman")
    'huffman'
    >>> current("training regime", "backslash-q:lam=1:steps=by-row")
    'backslash-q:lam=1:granularity=channel'
    """
    name, *pairs = text.split(":")
    found = ENTRIES.get(kind, {}).get(name) or Renamed(name)
    known = SETTINGS.get(kind, {}).get(found.name, {})
    given = dict(_pair(known, pair) for pair in pairs)
    kept = {key: value for key, value in given.items() if found.defaults.get(key) != value}
    last = {"scope": kept.pop("scope")} if found.after and "scope" in kept else {}
    return _spelled(found.name, {**found.before, **kept, **found.after, **last})


def current_recipe(text: str) -> str:
    """Return a recipe, or the first links of one, as it is spelled today.

    Examples
    --------
    >>> current_recipe("backslash-q:lam=1:steps=by-row+lattice")
    'backslash-q:lam=1:granularity=channel+ongrid'
    """
    links = text.split("+")
    for kind in _OF_A_RECIPE:
        links = [current(kind, link) for link in links]
    return "+".join(links)


def _pair(known: Settings, pair: str) -> tuple[str, str]:
    key, _, value = pair.partition("=")
    new, equals, new_value = known.get(pair, known.get(key, key)).partition("=")
    return new, new_value if equals else value


def _spelled(name: str, settings: Settings) -> str:
    return ":".join([name, *(f"{key}={value}" for key, value in settings.items())])
