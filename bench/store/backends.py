"""Where a store keeps its files: a folder, or whatever fsspec knows, such as an object store.

Names are relative and written with slashes. A write is seen whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from slashbench.bench.machine.atomic_files import (
    atomically,
    create,
    explained,
    sweep,
    write_atomically,
)
from slashbench.errors import StoreUnusable, UsageError

_KEPT = 8  # files of an object store that are kept here


class Depot(Protocol):
    """Files by name. Every method raises StoreUnusable where the place can't be read or written."""

    where: str  # as a user writes it, and as another process finds it

    def read(self, name: str) -> bytes | None:
        """The file's bytes, or None where there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Put a file in place of what is there, in one step."""

    def create(self, name: str, data: bytes) -> bool:
        """Put a file if there is none of that name: of several who try, one alone is told True."""

    def remove(self, name: str) -> None:
        """Drop a file; none there is fine."""

    def names(self, folder: str) -> Iterator[str]:
        """Names of the files at any depth below a folder, sorted."""

    def size(self, name: str) -> int | None:
        """The file's size in bytes, or None where there is none."""

    def local(self, name: str) -> Path | None:
        """A local file that holds the same bytes for the time being, or None."""

    def sweep(self) -> None:
        """Drop what killed writers left half-written, and nothing that is being written."""


def at(where: str | Path) -> Depot:
    """The depot at a path, or at a URL such as s3://bucket/results. Raises UsageError."""
    text = str(where)
    scheme, separator, path = text.partition("://")
    if not separator:
        return Folder(Path(text))
    return Folder(Path(path)) if scheme == "file" else Bucket(text)


class Folder:
    """Files below a folder, which several machines may share."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.where = str(root)

    def read(self, name: str) -> bytes | None:
        """As Depot."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """As Depot."""
        write_atomically(self.root / name, data)

    def create(self, name: str, data: bytes) -> bool:
        """As Depot."""
        return create(self.root / name, data)

    def remove(self, name: str) -> None:
        """As Depot."""
        with explained(self.root):
            (self.root / name).unlink(missing_ok=True)

    def names(self, folder: str) -> Iterator[str]:
        """As Depot."""
        found: list[str] = []
        for place, _, files in os.walk(self.root / folder):
            within = Path(place).relative_to(self.root)
            found += [(within / name).as_posix() for name in files if not name.startswith(".")]
        yield from sorted(found)

    def size(self, name: str) -> int | None:
        """As Depot."""
        try:
            return (self.root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def local(self, name: str) -> Path | None:
        """As Depot: the file itself."""
        path = self.root / name
        return path if path.is_file() else None

    def sweep(self) -> None:
        """As Depot."""
        with explained(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            sweep(self.root.rglob(".partial-*"))


class Bucket:
    """Files at a URL that fsspec opens. Objects appear whole, and are downloaded to be used."""

    def __init__(self, url: str) -> None:
        self.where = url.rstrip("/")
        with _explained(url):
            self._files, self._root = _open(self.where)
        self._here = Path(tempfile.mkdtemp(prefix="slashbench-bucket-"))
        weakref.finalize(self, shutil.rmtree, self._here, ignore_errors=True)

    def read(self, name: str) -> bytes | None:
        """As Depot."""
        with _explained(self.where):
            try:
                data: bytes = self._files.cat_file(self._path(name))
            except FileNotFoundError:
                return None
            return data

    def write(self, name: str, data: bytes) -> None:
        """As Depot."""
        with _explained(self.where):
            self._make_parent(name)
            self._copy(name).unlink(missing_ok=True)
            self._files.pipe_file(self._path(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """As Depot: a conditional write, as AWS, GCS and their kin do it."""
        with _explained(self.where):
            self._make_parent(name)
            try:
                self._files.pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:  # what an object store answers to the loser
                if "condition" not in str(error).lower():
                    raise
                return False
            return True

    def remove(self, name: str) -> None:
        """As Depot."""
        self._copy(name).unlink(missing_ok=True)
        with _explained(self.where), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def names(self, folder: str) -> Iterator[str]:
        """As Depot."""
        with _explained(self.where):
            self._files.invalidate_cache()
            found = self._files.find(self._path(folder))
        yield from sorted(path.removeprefix(f"{self._root}/") for path in found)

    def size(self, name: str) -> int | None:
        """As Depot."""
        with _explained(self.where):
            try:
                self._files.invalidate_cache()
                return int(self._files.info(self._path(name))["size"])
            except FileNotFoundError:
                return None

    def local(self, name: str) -> Path | None:
        """As Depot: a copy; the last few are kept."""
        path = self._copy(name)
        if path.exists():
            path.touch()
            return path
        data = self.read(name)
        if data is None:
            return None
        with atomically(path) as file:
            file.write(data)
        for old in sorted(self._here.iterdir(), key=lambda p: p.stat().st_mtime)[:-_KEPT]:
            old.unlink()
        return path

    def sweep(self) -> None:
        """As Depot: an object store shows nothing half-written."""

    def _copy(self, name: str) -> Path:
        return self._here / name.replace("/", "-")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _make_parent(self, name: str) -> None:
        """Folders, where the file system has any; object stores pass over it."""
        if self._files.protocol not in ("s3", ("s3", "s3a"), "gs", ("gs", "gcs")):
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
    """What an object store refuses, as StoreUnusable with its words."""
    try:
        yield
    except OSError as error:
        raise StoreUnusable(
            f"can't use {url}: {error}; check the address, the rights and the network"
        ) from error
