"""Which code an entry runs, beyond that of slashbench itself, whose revisions are kept by hand."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_CODE = (".py", ".so", ".pyd", ".dylib")


def digest(root: str, distribution: str = "") -> str:
    """Return a hash of the source of a plug-in; empty where it has no files, as in a notebook.

    Parameters
    ----------
    root
        The top-level module that it was imported from: all of it counts, a package with its
        modules.
    distribution
        The installed distribution that brought it, whose other modules count as well.
    """
    found = hashlib.sha256()
    paths = sorted({*_of_module(root), *_of_distribution(distribution)})
    for name, path in paths:
        found.update(f"{name}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16] if paths else ""


@functools.cache
def version(module: str) -> str:
    """Return the version of the distribution that brings an importable module; empty if unknown."""
    for name in _distributions(module):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def _distributions(module: str) -> Iterator[str]:
    """Names of distributions that may bring a module: its own name first, which costs least."""
    yield module
    root = module.partition(".")[0]
    yield from importlib.metadata.packages_distributions().get(root, [])


def _of_module(root: str) -> Iterator[tuple[str, Path]]:
    module = sys.modules.get(root)
    for folder in getattr(module, "__path__", None) or ():
        yield from _code(Path(folder), Path(folder).rglob("*"))
    file = getattr(module, "__file__", None)
    if file and not hasattr(module, "__path__"):
        yield from _code(Path(file).parent, [Path(file)])


def _of_distribution(name: str) -> Iterator[tuple[str, Path]]:
    try:
        files = importlib.metadata.files(name) if name else None
    except importlib.metadata.PackageNotFoundError:
        return
    for file in files or ():
        path = Path(str(file.locate()))
        yield from _code(path.parents[len(file.parts) - 1], [path])


def _code(base: Path, paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    for path in paths:
        if path.suffix in _CODE and path.is_file():
            yield path.relative_to(base).as_posix(), path.resolve()
