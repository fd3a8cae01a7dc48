"""The results: one JSON record per stage, and artifacts named by their SHA-256.

records/STAGE/ab/abcd....json
artifacts/ab/abcd....safetensors
training/abcd....safetensors         snapshots of training runs under way
leases/abcd....0                     what some process is making right now

Any number of runs, on any number of machines, may share one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from slashbench import record as records
from slashbench.bench.store import backends
from slashbench.bench.store.backends import Depot
from slashbench.bench.store.leases import Leases
from slashbench.record import AnyRecord, CellRecord, Record

R = TypeVar("R", bound=Record)


class Keeper:
    """One snapshot of a training run that is under way; cleared when its checkpoint is kept."""

    def __init__(self, files: Depot, name: str) -> None:
        self.files, self.name = files, name

    def read(self) -> bytes | None:
        """The snapshot kept last, or None."""
        return self.files.read(self.name)

    def write(self, data: bytes) -> None:
        """Keep a snapshot in place of the last one. Raises StoreUnusable."""
        self.files.write(self.name, data)

    def clear(self) -> None:
        """Drop the snapshot."""
        self.files.remove(self.name)


class Store:
    """Records and artifacts in a folder or at a URL. Damaged files are set aside, never trusted."""

    def __init__(self, where: Path | str) -> None:
        self.files = backends.at(where)
        self.leases = Leases(self.files)
        self.warnings: list[str] = []  # what was found damaged and set aside
        self._whole: set[tuple[str, int, int]] = set()  # files whose bytes were checked

    @property
    def where(self) -> str:
        """The folder or URL, for another process to open."""
        return self.files.where

    def sweep(self) -> None:
        """Drop what runs that were killed left half-done. Raises StoreUnusable."""
        self.files.sweep()
        self.leases.sweep()

    def put(self, record: Record) -> None:
        """Write one record. Raises StoreUnusable."""
        self.files.write(_record_name(type(record), record.key), records.encode(record))

    def get(self, kind: type[R], key: str) -> R | None:
        """The record of that kind and key, or None. A damaged one is set aside and reported."""
        found = self._read(_record_name(kind, key))
        return found if isinstance(found, kind) and found.key == key else None

    def holds(self, kind: type[Record], key: str) -> bool:
        """Whether `get` finds that record, for less than what reading it costs."""
        name = _record_name(kind, key)
        data = self.files.read(name)
        if data is None:
            return False
        try:
            head = records.decode_head(data)
        except msgspec.DecodeError as error:
            self._set_aside(name, data, str(error))
            return False
        return head.key == key

    def holds_any(self) -> bool:
        """Whether there are records at all."""
        return any(name.endswith(".json") for name in self.files.names("records"))

    def all(self, kind: type[R]) -> Iterator[R]:
        """Every readable record of a kind, in the order of their keys."""
        for name in self.files.names(f"records/{_tag(kind)}"):
            found = self._read(name) if name.endswith(".json") else None
            if isinstance(found, kind):
                yield found

    def every(self) -> Iterator[AnyRecord]:
        """Every readable record of every kind."""
        for name in self.files.names("records"):
            found = self._read(name) if name.endswith(".json") else None
            if found is not None:
                yield found

    def cells(self) -> list[CellRecord]:
        """Every cell record."""
        return list(self.all(CellRecord))

    def put_artifact(self, data: bytes) -> str:
        """Write a file under its SHA-256, which is returned. Raises StoreUnusable."""
        sha256 = hashlib.sha256(data).hexdigest()
        if self.files.size(artifact_name(sha256)) != len(data):
            self.files.write(artifact_name(sha256), data)
        return sha256

    def find_artifact(self, sha256: str) -> Path | None:
        """A file with the artifact after checking its bytes, or None. A damaged one is set aside.

        Valid until a few others are found, where the results are not in a folder.
        """
        path = self.files.local(artifact_name(sha256)) if sha256 else None
        if path is None:
            return None
        about = path.stat()
        identity = (sha256, about.st_size, about.st_mtime_ns)
        if identity in self._whole:
            return path
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                self._whole.add(identity)
                return path
        self._set_aside(artifact_name(sha256), path.read_bytes(), "its bytes do not match its name")
        return None

    def keeper(self, key: str) -> Keeper:
        """Where the training run of that checkpoint keeps its snapshot."""
        return Keeper(self.files, f"training/{key}.safetensors")

    def _read(self, name: str) -> AnyRecord | None:
        data = self.files.read(name)
        if data is None:
            return None
        try:
            return records.decode(data)
        except msgspec.DecodeError as error:
            self._set_aside(name, data, str(error))
            return None

    def _set_aside(self, name: str, data: bytes, why: str) -> None:
        aside = f"{name}.corrupt"
        self.files.write(aside, data)
        self.files.remove(name)
        self.warnings.append(f"{aside} was damaged and set aside ({why}); it will be made again")


def artifact_name(sha256: str) -> str:
    """What an artifact is called in the store's files."""
    return f"artifacts/{sha256[:2]}/{sha256}.safetensors"


def _record_name(kind: type[Record], key: str) -> str:
    return f"records/{_tag(kind)}/{key[:2]}/{key}.json"


def _tag(kind: type[Record]) -> str:
    return str(kind.__struct_config__.tag)
