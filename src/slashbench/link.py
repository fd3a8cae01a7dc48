"""Registered entries with their settings: what selectors stand for once they are checked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from slashbench import selector
from slashbench.errors import BrokenPlugin, MissingDependency, UsageError
from slashbench.registry import Registry
from slashbench.selector import Selector

T = TypeVar("T")


@dataclass(frozen=True)
class Link(Generic[T]):
    """One configured entry."""

    name: str
    item: T
    text: str  # canonical spelling
    config: dict[str, Any]  # name, revision and every setting but `added_settings` at defaults
    code: Mapping[str, str] = field(default_factory=dict)  # that it runs, as `Registry.code` says

    @property
    def identity(self) -> dict[str, Any]:
        """Return what determines its effect: the configuration, and code that is not ours."""
        return {**self.config, "code": dict(self.code)} if self.code else self.config


def links(registry: Registry[T], wanted: Selector) -> Iterator[Link[T]]:
    """Yield every configuration that a selector with sweeps stands for.

    Raises UnknownName, BadSetting, MissingDependency or BrokenPlugin.
    """
    cls = registry.get(wanted.name)
    for settings in selector.expand(cls, wanted):
        yield configured(registry, wanted.name, settings)


def configured(registry: Registry[T], name: str, settings: Mapping[str, Any]) -> Link[T]:
    """Return the entry of a registry with these settings, the others at their defaults.

    Raises UnknownName, BadSetting, MissingDependency or BrokenPlugin.
    """
    cls = registry.get(name)
    defaults = {setting.name: setting.default for setting in selector.settings_of(cls)}
    added = getattr(cls, "added_settings", ())
    identifying = {
        key: value
        for key, value in {**defaults, **settings}.items()
        if key not in added or value != defaults[key]
    }
    return Link(
        name,
        selector.build(cls, name, settings),
        selector.spell(cls, name, settings),
        {
            "name": name,
            "revision": getattr(cls, "revision", 1),
            "settings": identifying,
        },
        registry.code(name),
    )


def only(registry: Registry[T], text: str) -> Link[T]:
    """Return the one configuration that `name:key=value` stands for.

    Raises UsageError for several, and as `links` does.
    """
    found = list(links(registry, selector.parse(text)))
    if len(found) > 1:
        raise UsageError(f"{text!r} stands for {len(found)} of them; name one {registry.kind}")
    return found[0]


def entries(
    registry: Registry[Any],
    text: str,
    left_out: dict[str, str],
    first: Sequence[str] = (),
    needed: bool = True,
    apart: Collection[str] = (),
) -> Iterator[Link[Any]]:
    """Yield each configuration that a list stands for; `all` begins with the names in `first`.

    What `all` names but can't run here goes to `left_out` with its reason; what the user names by
    itself and can't run is an error: UnknownName, BadSetting, MissingDependency or BrokenPlugin.
    Where it is not `needed`, since a suite names it, a missing dependency is only left out.
    `all` does not stand for names that are kept `apart`.
    """
    for item in selector.split_list(text):
        if item != "all":
            try:
                yield from links(registry, selector.parse(item))
            except MissingDependency as error:
                if needed:
                    raise
                left_out[f"{registry.kind} {item}"] = str(error)
            continue
        names = [name for name in registry.names() if name not in apart]
        for name in [n for n in first if n in names] + [n for n in names if n not in first]:
            try:
                yield from links(registry, Selector(name))
            except (MissingDependency, BrokenPlugin) as error:
                left_out[f"{registry.kind} {name}"] = str(error)
