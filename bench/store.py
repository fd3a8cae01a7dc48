"""The results folder: one JSON record per stage, and artifacts named by their SHA-256.

records/STAGE/ab/abcd....json
artifacts/ab/abcd....safetensors
training/abcd....safetensors         snapshots of training runs under way
.lock                                held by the run that writes here
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import filelock
import msgspec

from slashbench import record as records
from slashbench.bench.files import explained, write_atomically
from slashbench.errors import StoreBusy
from slashbench.record import AnyRecord, CellRecord, Record

R = TypeVar("R", bound=Record)


class Keeper:
    """One snapshot of a training run that is under way; cleared when its checkpoint is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes | None:
        """The snapshot kept last, or None."""
        return self.path.read_bytes() if self.path.is_file() else None

    def write(self, data: bytes) -> None:
        """Keep a snapshot in place of the last one. Raises StoreUnusable."""
        write_atomically(self.path, data)

    def clear(self) -> None:
        """Drop the snapshot."""
        self.path.unlink(missing_ok=True)


class Store:
    """Records and artifacts below one folder. Damaged files are set aside, never trusted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.warnings: list[str] = []  # what was found damaged and set aside

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one run. Raises StoreBusy or StoreUnusable."""
        with explained(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            for leftover in self.root.rglob(".partial-*"):  # of a run that was killed
                leftover.unlink(missing_ok=True)
            lock = filelock.FileLock(self.root / ".lock")
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout as error:
                raise StoreBusy(
                    f"another `bench run` is writing to {self.root}; wait for it, stop it, "
                    "or choose another folder with --out"
                ) from error
        try:
            yield
        finally:
            lock.release()

    def put(self, record: Record) -> None:
        """Write one record. Raises StoreUnusable."""
        stage = type(record).__struct_config__.tag
        write_atomically(self._record_path(str(stage), record.key), records.encode(record))

    def get(self, kind: type[R], key: str) -> R | None:
        """The record of that kind and key, or None. A damaged one is set aside and reported."""
        path = self._record_path(str(kind.__struct_config__.tag), key)
        found = self._read(path)
        return found if isinstance(found, kind) and found.key == key else None

    def all(self, kind: type[R]) -> Iterator[R]:
        """Every readable record of a kind, in the order of their keys."""
        folder = self.root / "records" / str(kind.__struct_config__.tag)
        for path in sorted(folder.glob("*/*.json")):
            found = self._read(path)
            if isinstance(found, kind):
                yield found

    def cells(self) -> list[CellRecord]:
        """Every cell record."""
        return list(self.all(CellRecord))

    def put_artifact(self, data: bytes) -> str:
        """Write a file under its SHA-256, which is returned. Raises StoreUnusable."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.artifact_path(sha256)
        if not (path.exists() and path.stat().st_size == len(data)):
            write_atomically(path, data)
        return sha256

    def artifact_path(self, sha256: str) -> Path:
        """Where an artifact is or would be."""
        return self.root / "artifacts" / sha256[:2] / f"{sha256}.safetensors"

    def find_artifact(self, sha256: str) -> Path | None:
        """The artifact's path after checking its bytes, or None. A damaged one is set aside."""
        path = self.artifact_path(sha256)
        if not sha256 or not path.is_file():
            return None
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return path
        self._set_aside(path, "its bytes do not match its name")
        return None

    def keeper(self, key: str) -> Keeper:
        """Where the training run of that checkpoint keeps its snapshot."""
        return Keeper(self.root / "training" / f"{key}.safetensors")

    def _record_path(self, stage: str, key: str) -> Path:
        return self.root / "records" / stage / key[:2] / f"{key}.json"

    def _read(self, path: Path) -> AnyRecord | None:
        try:
            return records.decode(path.read_bytes())
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            self._set_aside(path, str(error))
            return None

    def _set_aside(self, path: Path, why: str) -> None:
        aside = path.with_name(path.name + ".corrupt")
        with explained(path):
            path.replace(aside)
        self.warnings.append(f"{aside} was damaged and set aside ({why}); it will be made again")
