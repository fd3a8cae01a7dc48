"""What a data set is, where installed packages keep their files, and hashes that pin them."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from slashbench.errors import CorruptFile, MissingDependency


class Dataset(ABC):
    """Data of an installed or fetched package, pinned by hash."""

    source: ClassVar[str]
    licence: ClassVar[str]

    @abstractmethod
    def sha256(self) -> str:
        """Hash of the content, which goes into the key of every cell that uses it."""


def package_folder(module: str) -> Path:
    """The folder of an installed package, found without importing it.

    Raises MissingDependency.
    """
    folder = find_package_folder(module)
    if folder is None:
        raise MissingDependency(f"{module} is not installed: pip install 'slashbench[models]'")
    return folder


def find_package_folder(module: str) -> Path | None:
    """Return the folder of an installed package, found without importing it, or None."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def pinned(
    path: Path, sha256: str, remedy: str = "install the version that pyproject.toml names"
) -> Path:
    """`path`, after checking that it is the file we know. Raises CorruptFile with the remedy."""
    _check(file_sha256(path), sha256, path.name, remedy)
    return path


def check_fetched(path: Path, sha256: str, what: str) -> None:
    """Check a file that a client brought. Raises CorruptFile, which names it as `what`."""
    remedy = "it is damaged, or the registry has another version by now"
    _check(_sha256(path), sha256, what, remedy)


@functools.cache
def file_sha256(path: Path) -> str:
    """SHA-256 of an installed package's file, in hex; read once a process."""
    return _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(found: str, sha256: str, what: str, remedy: str) -> None:
    if found != sha256:
        raise CorruptFile(
            f"{what} has SHA-256 {found[:16]}..., expected {sha256[:16]}...; {remedy}"
        )
