"""The base of a delta: a checkpoint that is already where the delta goes.

A delta names every tensor of its base that it uses by hash, and the whole base by the hash over
all of its tensors: names, types, shapes and bytes, however they are shared out among files, and
whether these are plain or compressed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
import xxhash

from slashbench.arrays import Bytes
from slashbench.bench.checkpoint.plain_header import Tensor
from slashbench.codecs.base import hash_of
from slashbench.errors import OtherBase


def _nothing(_name: str) -> None:
    """Do nothing: the bytes are in memory."""


@dataclass(frozen=True)
class Base:
    """The tensors of a base. `release` says that a tensor's bytes are not needed for now."""

    tensors: Mapping[str, Tensor]
    read: Callable[[str], Bytes]
    release: Callable[[str], None] = _nothing
    where: str = "the base"  # as errors call it
    name: str = ""  # as a delta calls it
    _hashes: dict[str, bytes] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hash_of(self, name: str) -> bytes:
        """Return the hash of one tensor's bytes, which is computed once."""
        with self._lock:
            if name not in self._hashes:
                self._hashes[name] = hash_of(self.read(name))
            return self._hashes[name]

    def identity(self) -> str:
        """Return the hash of the whole base, in hexadecimal digits. Every tensor is read."""
        listed = []
        for name, tensor in sorted(self.tensors.items()):
            listed.append((name, tensor.dtype, tensor.shape, self.hash_of(name).hex()))
            self.release(name)
        return xxhash.xxh3_128_hexdigest(msgspec.json.encode(listed))

    def counterpart(self, name: str, tensor: Tensor) -> str | None:
        """Return the name of the base's tensor that goes with one of this name and kind, if any.

        The same name, or the only one that is the same but for what one of them has in front, as
        `encoder.layer.0` and `layer.0`.
        """
        if name in self.tensors:
            found = [name]
        else:
            found = [
                other
                for other in self.tensors
                if name.endswith(f".{other}") or other.endswith(f".{name}")
            ]
        if len(found) != 1 or not _alike(self.tensors[found[0]], tensor):
            return None
        return found[0]

    def named(self, name: str, digest: bytes, tensor: Tensor) -> Bytes:
        """Return the bytes of the tensor that a delta names, which must have this hash and kind.

        Raises OtherBase.
        """
        mine = self.tensors.get(name)
        if mine is None or not _alike(mine, tensor):
            raise OtherBase(
                f"{self.where} is not the base that the file was made from: it has no {name!r} of "
                f"{tensor.dtype} {list(tensor.shape)}"
            )
        if self.hash_of(name) != digest:
            raise OtherBase(
                f"{self.where} is not the base that the file was made from: its {name!r} has the "
                f"hash {self.hash_of(name).hex()}, not {digest.hex()}"
            )
        return self.read(name)


def _alike(one: Tensor, other: Tensor) -> bool:
    return (one.dtype, one.shape) == (other.dtype, other.shape)
