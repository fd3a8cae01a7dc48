"""Storage backends: a folder, or whatever fsspec opens, such as an object store.

Names of files are relative, with slashes. Readers see a write whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from typing_extensions import override

from slashbench.bench.machine.atomic_files import (
    create,
    explained,
    replacement,
    sweep,
    write_atomically,
)
from slashbench.errors import StoreUnusable, UsageError

_KEPT_S = 600  # for which a downloaded file is kept
_FLAT = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"}  # stores that have no folders


class Backend(ABC):
    """Files by name. Every method raises StoreUnusable if the files can't be read or written."""

    where: str  # as a user writes it, and as another process finds it

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file, or None if there is none."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a file, in place of one of that name, in one step."""

    def write_file(self, name: str, save: Callable[[Path], None]) -> None:
        """Write what `save` writes at the path it is given, in one step."""
        with tempfile.TemporaryDirectory(prefix="slashbench-") as folder:
            save(path := Path(folder) / "file")
            self.write(name, path.read_bytes())

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one; return whether this call, of several, wrote it."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    @abstractmethod
    def names(self, folder: str) -> Iterator[str]:
        """Yield the names of all files below a folder, at any depth, sorted."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None if there is none."""

    @abstractmethod
    def local(self, name: str) -> Path | None:
        """Return a local file with the same bytes, which may soon be removed, or None."""

    @abstractmethod
    def sweep(self) -> None:
        """Remove what killed writers left half-written, and nothing that is being written."""


def at(where: str | Path) -> Backend:
    """Return the backend of a path, or of a URL such as s3://bucket/results.

    Raises
    ------
    UsageError
        If nothing opens such a URL.
    """
    text = str(where)
    scheme, separator, path = text.partition("://")
    if not separator:
        return LocalBackend(Path(text))
    return LocalBackend(Path(path)) if scheme == "file" else ObjectStoreBackend(text)


class LocalBackend(Backend):
    """Files in a folder, which several machines may share."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.where = str(root)

    @override
    def read(self, name: str) -> bytes | None:
        with explained(self.root, "read"):
            try:
                return (self.root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    @override
    def write(self, name: str, data: bytes) -> None:
        write_atomically(self.root / name, data)

    @override
    def write_file(self, name: str, save: Callable[[Path], None]) -> None:
        with replacement(self.root / name) as path:
            save(path)

    @override
    def create(self, name: str, data: bytes) -> bool:
        return create(self.root / name, data)

    @override
    def remove(self, name: str) -> None:
        with explained(self.root):
            (self.root / name).unlink(missing_ok=True)

    @override
    def names(self, folder: str) -> Iterator[str]:
        found: list[str] = []
        for place, _, files in os.walk(self.root / folder):
            within = Path(place).relative_to(self.root)
            found += [(within / name).as_posix() for name in files if not name.startswith(".")]
        yield from sorted(found)

    @override
    def size(self, name: str) -> int | None:
        with explained(self.root, "read"):
            try:
                return (self.root / name).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    @override
    def local(self, name: str) -> Path | None:
        path = self.root / name
        return path if path.is_file() else None

    @override
    def sweep(self) -> None:
        with explained(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            sweep(self.root.rglob(".partial-*"))


class ObjectStoreBackend(Backend):
    """Files at a URL that fsspec opens. Objects appear whole.

    Those that are asked for as local files are downloaded into a temporary folder, and are kept
    there for a few minutes, so that the codecs of one checkpoint share a download.
    """

    def __init__(self, url: str) -> None:
        self.where = url.rstrip("/")
        with _explained(url):
            self._files, self._root = _open(self.where)
        from fsspec.implementations.cached import WholeFileCacheFileSystem

        self._cache = WholeFileCacheFileSystem(
            fs=self._files, cache_storage="TMP", expiry_time=_KEPT_S, skip_instance_cache=True
        )

    @override
    def read(self, name: str) -> bytes | None:
        with _explained(self.where):
            try:
                data: bytes = self._files.cat_file(self._path(name))
            except FileNotFoundError:
                return None
            return data

    @override
    def write(self, name: str, data: bytes) -> None:
        with _explained(self.where):
            self._make_parent(name)
            self._forget(name)
            self._files.pipe_file(self._path(name), data)

    @override
    def create(self, name: str, data: bytes) -> bool:
        with _explained(self.where):
            self._make_parent(name)
            try:  # a conditional write, as AWS, GCS and their kin do it
                self._files.pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:  # what an object store answers to the loser
                if "condition" not in str(error).lower():
                    raise
                return False
            return True

    @override
    def remove(self, name: str) -> None:
        with _explained(self.where), contextlib.suppress(FileNotFoundError):
            self._forget(name)
            self._files.rm_file(self._path(name))

    @override
    def names(self, folder: str) -> Iterator[str]:
        with _explained(self.where):
            self._files.invalidate_cache()
            found = self._files.find(self._path(folder))
        yield from sorted(path.removeprefix(f"{self._root}/") for path in found)

    @override
    def size(self, name: str) -> int | None:
        with _explained(self.where):
            try:
                self._files.invalidate_cache()
                return int(self._files.info(self._path(name))["size"])
            except FileNotFoundError:
                return None

    @override
    def local(self, name: str) -> Path | None:
        with _explained(self.where):
            self._cache.clear_expired_cache(_KEPT_S)
            try:
                with self._cache.open(self._path(name), "rb") as file:
                    return Path(file.name)
            except FileNotFoundError:
                return None

    @override
    def sweep(self) -> None:
        """Do nothing: an object store shows nothing half-written."""

    def _forget(self, name: str) -> None:
        """Remove the local copy of a file that is about to change."""
        self._cache.pop_from_cache(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _make_parent(self, name: str) -> None:
        """Make the folder that a file is in, where the file system has folders."""
        protocol = self._files.protocol
        if _FLAT.isdisjoint([protocol] if isinstance(protocol, str) else protocol):
            self._files.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)


def _open(url: str) -> tuple[Any, str]:
    import fsspec.core  # not for those whose results are in a folder

    try:
        files, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}
        needed = package.get(url.partition("://")[0], "a package of its own")
        raise UsageError(f"{url} needs {needed}: pip install {needed} ({error})") from error
    except ValueError as error:
        raise UsageError(f"--out {url}: {error}") from error
    return files, str(root).rstrip("/")


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn the errors of an object store into StoreUnusable, with its words."""
    try:
        yield
    except OSError as error:
        raise StoreUnusable(
            f"can't use {url}: {error}; check the address, the rights and the network"
        ) from error
