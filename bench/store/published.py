"""Published records: those of a whole results folder in one file, for git and for people.

`records.jsonl.zst` holds one record a line, sorted by stage and key, under Zstandard: `zstdcat`
shows it, and two of them are compared with `diff <(zstdcat A) <(zstdcat B)`. A plain
`records.jsonl` is read as well. Such a file is written as a whole and otherwise only read.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import zstandard

from slashbench import record as records
from slashbench.bench.store.backends import Backend
from slashbench.errors import CorruptFile
from slashbench.record import AnyRecord, Record

NAME = "records.jsonl.zst"
NAMES = (NAME, "records.jsonl")

#: Bytes of records that a file may unpack to: it may be a stranger's.
LARGEST = 2**30

_LEVEL = 19
_SLICE = 1024  # bytes unpacked at once: a frame of zeros makes some 30 MB of them
_FRAME = b"\x28\xb5\x2f\xfd"  # how a Zstandard frame begins

#: Stage and key of a record.
Identity = tuple[str, str]


def is_name(name: str) -> bool:
    """Return whether a file of that name would hold published records."""
    return name.endswith((".jsonl.zst", ".jsonl"))


def write(files: Backend, lines: Mapping[Identity, bytes]) -> None:
    """Put records into the file `NAME` of a results folder, in place of what was published.

    Parameters
    ----------
    files
        The folder.
    lines
        The JSON of each record. It is kept as it was written, in whatever schema version.

    Raises
    ------
    StoreUnusable
        If it can't be written.
    """
    text = b"".join(line.strip() + b"\n" for _, line in sorted(lines.items()))
    files.write(NAME, zstandard.ZstdCompressor(level=_LEVEL).compress(text))


def read(files: Backend, name: str) -> Mapping[Identity, bytes]:
    """Return the line of each record in a file, sorted; nothing where there is no such file.

    Raises
    ------
    CorruptFile
        If it is damaged, or was written by a later slashbench.
    """
    data = files.read(name)
    if data is None:
        return {}
    where = f"{files.where}/{name}"
    if data.startswith(_FRAME):
        data = _unpacked(data, where)
    if data and not data.endswith(b"\n"):
        raise CorruptFile(_said(where, "its last line is cut off"))
    lines = {}
    for number, line in enumerate(data.splitlines(), 1):
        try:
            head = records.decode_head(line)
        except msgspec.DecodeError as error:
            raise CorruptFile(_said(f"{where}, line {number}", str(error))) from error
        lines[head.stage, head.key] = line
    return dict(sorted(lines.items()))


def _unpacked(data: bytes, where: str) -> bytes:
    """Return what a Zstandard frame holds. Raises CorruptFile, also where that is over LARGEST."""
    packed = zstandard.ZstdDecompressor().decompressobj()
    parts, size = [], 0
    try:
        for start in range(0, len(data), _SLICE):
            if packed.eof:
                raise CorruptFile(_said(where, "it is no single whole Zstandard frame"))
            parts.append(packed.decompress(data[start : start + _SLICE]))
            size += len(parts[-1])
            if size > LARGEST:
                raise CorruptFile(_said(where, f"it unpacks to more than {LARGEST:,} bytes"))
    except zstandard.ZstdError as error:
        raise CorruptFile(_said(where, str(error))) from error
    if not packed.eof or packed.unused_data:
        raise CorruptFile(_said(where, "it is no single whole Zstandard frame"))
    return b"".join(parts)


def decode(line: bytes, where: str) -> AnyRecord:
    """Return the record of one line. Raises CorruptFile."""
    try:
        return records.decode(line)
    except msgspec.DecodeError as error:
        raise CorruptFile(_said(where, str(error))) from error


def identity(record: Record) -> Identity:
    """Return stage and key of a record."""
    return stage(type(record)), record.key


def stage(kind: type[Record]) -> str:
    """Return the name of the stage that makes records of a kind."""
    return str(kind.__struct_config__.tag)


def _said(where: str, why: str) -> str:
    return f"{where} is damaged ({why}); take it again from where it came"
