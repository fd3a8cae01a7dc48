"""What is compressed: a plain header, and the bytes of each tensor when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from isal.isal_zlib import crc32

from slashbench.arrays import Bytes
from slashbench.bench.checkpoint import plain_header
from slashbench.bench.checkpoint.buffers import Mapped
from slashbench.bench.checkpoint.file_format import METADATA_KEY
from slashbench.bench.checkpoint.plain_header import Header
from slashbench.errors import CorruptFile, UsageError

BUFFERS = "buffers"  # key of a float checkpoint's metadata: JSON, names that are no parameters
ALIASES = "aliases"  # key of a float checkpoint's metadata: JSON, tied name -> name
BASE = "slashbench.base"  # key of its metadata: hash of what its tensors are differences to

_LEAST = 1024  # bytes of a tensor that is compared with others, to store copies once
_GLANCE = 4096  # bytes by which most are told apart


def _nothing(_name: str) -> None:
    """Do nothing: the bytes are in memory."""


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint to compress. `release` says that a tensor's bytes are not needed for now."""

    header: Header
    read: Callable[[str], Bytes]
    release: Callable[[str], None] = _nothing
    tied: Mapping[str, str] = field(default_factory=dict)
    buffers: frozenset[str] = frozenset()  # known to be no weights: they are not quantized
    left_out: Mapping[str, str] = field(default_factory=dict)  # what a file holds besides, and why


def of_file(path: Path) -> Source:
    """Open a plain safetensors file. Raises CorruptFile, and UsageError for a compressed one."""
    mapped = Mapped(path)
    try:
        header, start = plain_header.read(mapped.data)
    except CorruptFile as error:
        raise CorruptFile(f"{path}: {error}") from error

    if METADATA_KEY in header.metadata:
        raise UsageError(f"{path} is compressed; `bench decompress` makes a plain file of it")

    def read(name: str) -> Bytes:
        tensor = header.tensors[name]
        return mapped.data[start + tensor.begin : start + tensor.end]

    def release(name: str) -> None:
        tensor = header.tensors[name]
        mapped.release(start + tensor.begin, start + tensor.end)

    return Source(header, read, release, buffers=buffers(header.metadata))


def buffers(metadata: Mapping[str, str]) -> frozenset[str]:
    """Return the names that a float checkpoint of `bench run` says to be buffers of its model.

    Raises CorruptFile.
    """
    try:
        return frozenset(map(str, json.loads(metadata.get(BUFFERS, "[]"))))
    except (json.JSONDecodeError, TypeError, RecursionError) as error:
        raise CorruptFile(f"its list of buffers is damaged: {error}") from error


def aliases(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the names that a float checkpoint of `bench run` leaves out -> those they are tied to.

    Raises CorruptFile.
    """
    try:
        found = json.loads(metadata.get(ALIASES, "{}"))
        return {str(name): str(other) for name, other in found.items()}
    except (json.JSONDecodeError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"its list of tied names is damaged: {error}") from error


def is_ours(path: Path) -> bool:
    """Return whether a file is a compressed checkpoint."""
    if not path.is_file():
        return False
    try:
        header, _ = plain_header.read(Mapped(path).data)
    except (CorruptFile, UsageError):
        return False
    return METADATA_KEY in header.metadata


class Files:
    """Plain files to compress, of which only one or two are open at a time."""

    def __init__(self, paths: Iterable[Path], opened: Callable[[Path], Source] = of_file) -> None:
        self._paths, self._opened = list(paths), opened

    def __iter__(self) -> Iterator[Source]:
        return map(self._opened, self._paths)


def copies(source: Source) -> dict[str, str]:
    """Return the names whose tensor has type, shape and bytes of an earlier one -> that one."""
    alike: dict[object, list[str]] = {}
    found = {}
    for name, tensor in source.header.tensors.items():
        if name in source.tied or tensor.nbytes < _LEAST:
            continue
        glance = crc32(source.read(name)[:_GLANCE])
        earlier = alike.setdefault((tensor.dtype, tensor.shape, glance), [])
        for other in earlier:
            if np.array_equal(source.read(name), source.read(other)):
                found[name] = other
                break
        else:
            earlier.append(name)
        if earlier[1:]:
            for each in (name, *earlier):
                source.release(each)
    return found
