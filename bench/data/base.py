"""What a data set is, and where installed packages keep their files."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from slashbench.errors import CorruptFile, MissingDependency


class Dataset(ABC):
    """Data of an installed package, pinned by hash."""

    source: ClassVar[str]
    licence: ClassVar[str]

    @abstractmethod
    def sha256(self) -> str:
        """Hash of the content, which goes into the key of every cell that uses it."""


def package_folder(module: str) -> Path:
    """The folder of an installed package, found without importing it.

    Raises MissingDependency.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency(f"{module} is not installed: pip install 'slashbench[models]'")
    return Path(spec.submodule_search_locations[0])


def pinned(path: Path, sha256: str) -> Path:
    """`path`, after checking that it is the file we know. Raises CorruptFile."""
    found = file_sha256(path)
    if found != sha256:
        raise CorruptFile(
            f"{path.name} has SHA-256 {found[:16]}..., expected {sha256[:16]}...; "
            "install the version that pyproject.toml names"
        )
    return path


@functools.cache
def file_sha256(path: Path) -> str:
    """SHA-256 of an installed package's file, in hex; read once a process."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
