"""Open the base of a delta: a plain file, a compressed one, or a folder of either."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from slashbench.arrays import Bytes
from slashbench.bench.checkpoint import folders, reader, sources
from slashbench.bench.checkpoint.base import Base
from slashbench.bench.checkpoint.plain_header import Tensor
from slashbench.bench.checkpoint.reader import Checkpoint
from slashbench.bench.checkpoint.sources import Source
from slashbench.errors import UsageError

_KEPT = 2  # decoded tensors of a compressed base, for each of its files


def opened(path: Path, *, max_bytes: int | None = None, trusted: bool = False) -> Base:
    """Open the base at a path: a file, an index, or a folder.

    Raises UsageError where there is none, where two files have a tensor of one name, and for a
    file that is itself a delta: they don't form chains. CorruptFile for one that is damaged.
    """
    tensors: dict[str, Tensor] = {}
    holder: dict[str, Source | _Decoded] = {}
    for file in folders.weight_files(path):
        held: Source | _Decoded
        if sources.is_ours(file):
            held = _Decoded(reader.opened(file, max_bytes=max_bytes, trusted=trusted), file)
        else:
            held = sources.of_file(file)
        if twice := tensors.keys() & held.header.tensors.keys():
            raise UsageError(f"{path} is no base: {min(twice)!r} is in more than one of its files")
        tensors |= held.header.tensors
        holder |= dict.fromkeys(held.header.tensors, held)
    return Base(
        tensors,
        lambda name: holder[name].read(name),
        lambda name: holder[name].release(name),
        where=str(path),
        name=path.name,
    )


def opened_in_place(
    file: Path, *, max_bytes: int | None = None, trusted: bool = False, base: Base | None = None
) -> Checkpoint:
    """Open a compressed file; the base that it names is looked for beside it, if none is given.

    A folder's tensors that stand in two files are stored once in this way. Raises as `opened` and
    `reader.opened` do.
    """
    found = reader.opened(file, max_bytes=max_bytes, trusted=trusted, base=base)
    if base is None and found.index.base is not None:
        name = found.index.base.name
        beside = file.with_name(name) if Path(name).name == name else file
        if beside != file and sources.is_ours(beside):
            found.base = opened(beside, max_bytes=max_bytes, trusted=trusted)
    return found


class _Decoded:
    """A compressed file whose tensors are decoded when they are asked for, few of them kept."""

    def __init__(self, checkpoint: Checkpoint, file: Path) -> None:
        if checkpoint.index.base is not None:
            raise UsageError(
                f"{file} is itself a delta, and deltas form no chains: `bench decompress` it first"
            )
        self._checkpoint = checkpoint
        self.header = checkpoint.header
        self._kept: OrderedDict[str, Bytes] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, name: str) -> Bytes:
        """Return a tensor's bytes."""
        with self._lock:
            found = self._kept.pop(name, None)
            if found is None:
                found = self._checkpoint.tensor(name)
            self._kept[name] = found  # the one used last comes last
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return found

    def release(self, name: str) -> None:
        """Forget a tensor."""
        with self._lock:
            self._kept.pop(name, None)
