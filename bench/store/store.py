"""A store of results: one JSON record per stage, and artifacts named by their SHA-256.

records/STAGE/ab/abcd....json
records.jsonl.zst                    records that were published; those above take precedence
artifacts/ab/abcd....safetensors
training/abcd....safetensors         snapshots of training runs under way
answers/ab/abcd....safetensors       what float models answer to test items
leases/abcd....0                     what some process makes right now

Any number of runs, on any number of machines, may share one.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from slashbench import record as records
from slashbench.bench.store import backends, published
from slashbench.bench.store.backends import Backend, LocalBackend
from slashbench.bench.store.leases import Leases
from slashbench.errors import UsageError
from slashbench.record import AnyRecord, CellRecord, Record

R = TypeVar("R", bound=Record)


class SnapshotSlot:
    """The snapshot of one unfinished training run; cleared when its checkpoint is stored."""

    def __init__(self, files: Backend, name: str) -> None:
        self.files, self.name = files, name

    def read(self) -> bytes | None:
        """Return the last snapshot, or None."""
        return self.files.read(self.name)

    def write(self, save: Callable[[Path], None]) -> None:
        """Replace the snapshot by the file that `save` writes. Raises StoreUnusable."""
        self.files.write_file(self.name, save)

    def clear(self) -> None:
        """Remove the snapshot."""
        self.files.remove(self.name)


class Store:
    """Records and artifacts in a folder or at a URL. Damaged files are set aside, never trusted.

    Parameters
    ----------
    where : Path or str
        A results folder, a URL, or one file of published records, which is only read.
    """

    def __init__(self, where: Path | str) -> None:
        folder, name = _split(str(where))
        self._file = name if published.is_name(name) else ""
        self.files = backends.at(folder if self._file else where)
        self.leases = Leases(self.files)
        self.warnings: list[str] = []  # damaged files that were set aside
        self._whole: set[tuple[str, int, int]] = set()  # files whose bytes were checked

    @property
    def where(self) -> str:
        """Return the folder, URL or file, for another process to open."""
        return f"{self.files.where}/{self._file}" if self._file else self.files.where

    def sweep(self) -> None:
        """Remove what killed runs left half-done. Raises StoreUnusable."""
        self._check_writable()
        self.files.sweep()
        self.leases.sweep()

    def put(self, record: Record) -> None:
        """Write one record. Raises StoreUnusable."""
        self._check_writable()
        self.files.write(_record_name(type(record), record.key), records.encode(record))

    def get(self, kind: type[R], key: str) -> R | None:
        """Return the record of that kind and key, or None. A damaged one is set aside."""
        there = self._read(_record_name(kind, key)) or self._line((published.stage(kind), key))
        found = there[0] if there else None
        return found if isinstance(found, kind) and found.key == key else None

    def holds(self, kind: type[Record], key: str) -> bool:
        """Return whether `get` finds a record, without decoding it."""
        name = _record_name(kind, key)
        data = None if self._file else self.files.read(name)
        if data is not None:
            try:
                return records.decode_head(data).key == key
            except msgspec.DecodeError as error:
                self._set_aside(name, data, str(error))
        return (published.stage(kind), key) in self._published

    def holds_any(self) -> bool:
        """Return whether there are records."""
        return self.holds_loose() or bool(self._published)

    def holds_loose(self) -> bool:
        """Return whether there are records in files of their own."""
        return not self._file and any(map(_is_record, self.files.names("records")))

    def all(self, kind: type[R]) -> Iterator[R]:
        """Yield every readable record of a kind, in the order of their keys."""
        for found, _ in self.lines(published.stage(kind)):
            if isinstance(found, kind):
                yield found

    def every(self) -> Iterator[AnyRecord]:
        """Yield every readable record, in the order of their stages and keys."""
        return (found for found, _ in self.lines())

    def cells(self) -> list[CellRecord]:
        """Return every cell record."""
        return list(self.all(CellRecord))

    def lines(self, stage: str = "") -> Iterator[tuple[AnyRecord, bytes]]:
        """Yield every readable record of a stage, or of all, and its JSON as it was written.

        A record in a file of its own takes precedence over a published one.
        """
        loose = {}
        if not self._file:
            names = filter(_is_record, self.files.names(f"records/{stage}" if stage else "records"))
            loose = {_identity(name): name for name in names}
        lines = [known for known in self._published if stage in ("", known[0])]
        for known in sorted({*loose, *lines}):
            found = (self._read(loose[known]) if known in loose else None) or self._line(known)
            if found is not None:
                yield found

    def put_artifact(self, data: bytes) -> str:
        """Write a file under its SHA-256, and return that. Raises StoreUnusable."""
        self._check_writable()
        sha256 = hashlib.sha256(data).hexdigest()
        if self.files.size(artifact_name(sha256)) != len(data):
            self.files.write(artifact_name(sha256), data)
            if isinstance(self.files, LocalBackend):  # read anew where it must be fetched
                about = (self.files.root / artifact_name(sha256)).stat()
                self._whole.add((sha256, about.st_size, about.st_mtime_ns))
        return sha256

    def find_artifact(self, sha256: str) -> Path | None:
        """Return a file with the artifact, after checking its bytes, or None.

        A damaged one is set aside.

        The file stays for some minutes, if the results are not in a folder.
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

    def snapshot_slot(self, key: str) -> SnapshotSlot:
        """Return the slot for the snapshot of that checkpoint's training."""
        return SnapshotSlot(self.files, f"training/{key}.safetensors")

    @functools.cached_property
    def _published(self) -> Mapping[published.Identity, bytes]:
        """The lines of the file of published records. Raises CorruptFile."""
        for name in (self._file,) if self._file else published.NAMES:
            if lines := published.read(self.files, name):
                return lines
        return {}

    def _line(self, known: published.Identity) -> tuple[AnyRecord, bytes] | None:
        """Return a published record and its line."""
        line = self._published.get(known)
        if line is None:
            return None
        return published.decode(line, f"{self.where}: {known[1]}"), line

    def _read(self, name: str) -> tuple[AnyRecord, bytes] | None:
        """Return a record in a file of its own, and the file's bytes."""
        data = None if self._file else self.files.read(name)
        if data is None:
            return None
        try:
            return records.decode(data), data
        except msgspec.DecodeError as error:
            self._set_aside(name, data, str(error))
            return None

    def _check_writable(self) -> None:
        if self._file:
            raise UsageError(
                f"{self.where} holds published records, which are only read; give "
                "the folder that it is in"
            )

    def _set_aside(self, name: str, data: bytes, why: str) -> None:
        aside = f"{name}.corrupt"
        self.files.write(aside, data)
        self.files.remove(name)
        self.warnings.append(f"{aside} was damaged and set aside ({why}); it will be made again")


def artifact_name(sha256: str) -> str:
    """Return the name of an artifact among the files of a store."""
    return f"artifacts/{sha256[:2]}/{sha256}.safetensors"


def answer_name(key: str) -> str:
    """Return the name of a float model's kept answers among the files of a store."""
    return f"answers/{key[:2]}/{key}.safetensors"


def is_results(where: str) -> bool:
    """Return whether records are there: in a results folder, at a URL, or in a published file."""
    if "://" not in where and not Path(where).exists():
        return False
    return Store(where).holds_any()


def _split(where: str) -> tuple[str, str]:
    """Return the folder or URL that something is in, and its name there."""
    if "://" in where:
        folder, _, name = where.rpartition("/")
        return folder, name
    return str(Path(where).parent), Path(where).name


def _record_name(kind: type[Record], key: str) -> str:
    return f"records/{published.stage(kind)}/{key[:2]}/{key}.json"


def _is_record(name: str) -> bool:
    return name.endswith(".json")


def _identity(name: str) -> published.Identity:
    """Return stage and key of the record in a file, by its name."""
    parts = name.removesuffix(".json").split("/")
    return parts[1], parts[-1]
