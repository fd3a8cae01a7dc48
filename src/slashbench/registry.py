"""Name -> class, loaded when first used.

Entries come from three places: a decorator (`@CODECS.register("mine")`), a lazy line
(`CODECS.lazy("zstd", "slashbench.codecs.zstd:Zstd", needs="zstandard")`) and the entry points of
installed packages (group `slashbench.codecs` and so on). A name has one owner: a second claim is an
error, or, when an installed plug-in makes it, a reported problem that does not stop anybody's run.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from slashbench import code_identity, renamed
from slashbench.errors import BrokenPlugin, DuplicateName, MissingDependency, UnknownName

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """The target of a name. `needs`: importable modules; `install`: the pip line for them."""

    name: str
    target: str  # "package.module:attribute"
    needs: tuple[str, ...] = ()
    install: str = ""
    origin: str = "slashbench"  # distribution that registered it
    absent: Callable[[], str] = str  # why it can't be used although `needs` are met; empty: it can

    def missing(self) -> list[str]:
        """Return the modules that this entry needs and that are not installed."""
        return [module for module in self.needs if not _is_installed(module)]


@dataclass(frozen=True, slots=True)
class Status:
    """One row of `bench list`."""

    name: str
    available: bool
    reason: str  # empty when available, else why not and what to do
    summary: str  # first line of the docstring
    origin: str


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # of the packages that a dotted name lies in, which are imported
        return False


class Registry(Generic[T]):
    """Classes of one kind by name.

    kind: the word used in messages ("codec"). group: entry-point group that plug-ins use.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self.problems: list[str] = []  # plug-ins that were skipped, and why
        self._entries: dict[str, Entry] = {}
        self._loaded: dict[str, type[T]] = {}
        self._families: dict[str, Entry] = {}  # prefix -> where a function finds the class
        self._code: dict[str, dict[str, str]] = {}
        self._plugins_read = False

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator. Raises DuplicateName when `name` is taken."""

        def decorate(cls: type[T]) -> type[T]:
            self._add(Entry(name, f"{cls.__module__}:{cls.__qualname__}", origin=cls.__module__))
            self._loaded[name] = cls
            return cls

        return decorate

    def lazy(
        self,
        name: str,
        target: str,
        *,
        needs: str = "",
        install: str = "",
        absent: Callable[[], str] = str,
    ) -> None:
        """Register `target` ("module:attribute") without importing it.

        needs: importable modules, separated by blanks. install: the pip line that brings them.
        absent: what else is not here, and what to do; empty where all is.
        """
        modules = tuple(needs.split())
        install = install or "pip install " + " ".join(modules)
        self._add(Entry(name, target, modules, install, absent=absent))

    def family(self, prefix: str, target: str, *, needs: str = "") -> None:
        """Look up names with this prefix by target("rest of the name"); none of them is listed.

        target: "module:function" that returns a class or raises UnknownName.
        """
        modules = tuple(needs.split())
        self._families[prefix] = Entry(prefix, target, modules, "pip install " + " ".join(modules))

    def names(self) -> list[str]:
        """Return all registered names, available or not, in order of registration."""
        self._read_plugins()
        return list(self._entries)

    def get(self, name: str) -> type[T]:
        """Return the class behind `name`.

        Raises UnknownName with a suggestion, MissingDependency with the pip line, or BrokenPlugin.
        """
        self._read_plugins()
        if name in self._loaded:
            return self._loaded[name]
        entry = self._entries.get(name)
        for prefix, family in self._families.items():
            if entry is None and name.startswith(prefix):
                if missing := family.missing():
                    raise MissingDependency(
                        f"{self.kind} {name!r} needs {', '.join(missing)}: {family.install}"
                    )
                module, _, function = family.target.partition(":")
                found: type[T] = getattr(importlib.import_module(module), function)(
                    name.removeprefix(prefix)
                )
                return found
        if entry is None:
            raise UnknownName(self._unknown(name))
        if lacks := self.lacks(name):
            raise MissingDependency(lacks)
        module, _, attribute = entry.target.partition(":")
        try:
            loaded: type[T] = getattr(importlib.import_module(module), attribute)
        except Exception as error:  # a plug-in may raise anything while it is imported
            raise BrokenPlugin(
                f"{self.kind} {name!r} of {entry.origin} can't be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        self._loaded[name] = loaded
        return loaded

    def lacks(self, name: str) -> str | None:
        """Return what a registered entry needs and is not here, and what to do; None if all is.

        Nothing is imported.
        """
        entry = self._entries[name]
        if missing := entry.missing():
            return f"{self.kind} {name!r} needs {', '.join(missing)}: {entry.install}"
        reason = entry.absent()
        return f"{self.kind} {name!r}: {reason}" if reason else None

    def entry(self, name: str) -> Entry:
        """Return what is registered under a name, available or not. Raises UnknownName."""
        self._read_plugins()
        if name not in self._entries:
            raise UnknownName(self._unknown(name))
        return self._entries[name]

    def code(self, name: str) -> dict[str, str]:
        """Return which code an entry runs beside that of slashbench, as far as numbers go.

        Libraries that it needs, each with its version, and "KIND NAME" with a hash of the source
        for a plug-in. It is that of the moment when it is first asked for. Raises as `get` does.
        """
        if name not in self._code:
            root = self.get(name).__module__.partition(".")[0]
            family = next((f for p, f in self._families.items() if name.startswith(p)), None)
            entry = self._entries.get(name) or family
            assert entry is not None
            found = {module: code_identity.version(module) for module in entry.needs}
            if root != "slashbench" and entry is not family:
                found[f"{self.kind} {name}"] = code_identity.digest(root, entry.origin)
            self._code[name] = found
        return self._code[name]

    def available(self) -> list[str]:
        """Return the names whose class can be used here, which is what `all` means."""
        return [status.name for status in self.statuses() if status.available]

    def statuses(self) -> Iterator[Status]:
        """Yield every entry; one that can't be used here has the reason and what to do."""
        for name in self.names():
            entry = self._entries[name]
            try:
                doc = (self.get(name).__doc__ or "").strip()
            except (MissingDependency, BrokenPlugin) as error:
                yield Status(name, False, str(error), "", entry.origin)
            else:
                yield Status(name, True, "", doc.partition("\n")[0], entry.origin)

    def _add(self, entry: Entry) -> None:
        if taken := self._entries.get(entry.name):
            raise DuplicateName(
                f"{self.kind} {entry.name!r} is already registered by {taken.target}; "
                f"choose another name for {entry.target}"
            )
        self._entries[entry.name] = entry

    def _read_plugins(self) -> None:
        if self._plugins_read:
            return
        self._plugins_read = True
        for point in importlib.metadata.entry_points(group=self.group):
            origin = point.dist.name if point.dist else "an unknown package"
            try:
                self._add(Entry(point.name, point.value, origin=origin))
            except DuplicateName as error:
                self.problems.append(f"plug-in of {origin} skipped: {error}")

    def _unknown(self, name: str) -> str:
        if new := renamed.replacement(self.kind, name):
            return f"{self.kind} {name!r} was renamed to {new}"
        close = difflib.get_close_matches(name, self._entries, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"no {self.kind} {name!r}; {hint}known: {', '.join(sorted(self._entries))}"
