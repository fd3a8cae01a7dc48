"""What codecs with a base share: a tensor is kept as what differs from one that is already there.

A codec is given the base and is then one like any other: `codec.given(base).encode(tensor)`. Its
streams name the base by hash, and decode with no other.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import xxhash

from slashbench.arrays import Array
from slashbench.codecs.families.base import OneChunkCodec, TensorCodec
from slashbench.errors import OtherBase, Unencodable

HASH_BYTES = 16


def hash_of(base: Any) -> bytes:
    """Return the XXH3 hash of a tensor's bytes, 128 bits: by it a stream names its base.

    It tells bases apart that differ by accident or mistake, at the speed of memory. It is no
    defence against a base that was made to collide.
    """
    return xxhash.xxh3_128_digest(base)


class DeltaCodec(TensorCodec):
    """A codec of tensors that differ little from one that the decoder has."""

    domains: ClassVar[frozenset[str]] = frozenset({"integers", "floats"})

    _given: Array | None = None
    _hash: bytes = b""

    def given(self, base: Array) -> DeltaCodec:
        """Return this codec with a base: an array of the dtype and shape of what it codes."""
        made = copy.copy(self)
        native = np.require(base, base.dtype.newbyteorder("="), requirements=["C", "A"])
        made._given = native
        made._hash = hash_of(native.reshape(-1).view(np.uint8)) if native.size else b""
        return made

    def _base_for(self, dtype: np.dtype[Any], count: int) -> Array:
        """Return the base, flat, for a tensor to encode. Raises Unencodable where it has no use."""
        if self._given is None:
            raise Unencodable(f"{self.codec_id} needs a base: codec.given(base).encode(tensor)")
        if self._given.dtype != dtype or self._given.size != count:
            raise Unencodable(
                f"the base has {self._given.size} values of {self._given.dtype}, the tensor "
                f"{count} of {dtype}: there is no difference to take"
            )
        return self._given.reshape(-1)

    def _base_named(self, named: bytes, dtype: np.dtype[Any], count: int) -> Array:
        """Return the base, flat, that a stream names by hash.

        Raises OtherBase for any other, and for none.
        """
        if self._given is None:
            raise OtherBase("it is kept as a difference from a base, and none was given")
        if self._given.dtype != dtype or self._given.size != count or self._hash != named:
            raise OtherBase(
                f"it was made from the base {named.hex()}, and this is another, {self._hash.hex()}"
            )
        return self._given.reshape(-1)


class WholeDeltaCodec(DeltaCodec, OneChunkCodec):
    """A codec with a base whose streams have one chunk, as libraries take it.

    Tables: 16 bytes, the hash of the base.
    """

    def _encode_whole(self, flat: Array) -> tuple[bytes, bytes]:
        base = self._base_for(flat.dtype, flat.size)
        return self._hash, self.compress(flat, base)

    def _decode_into(self, tables: bytes, payload: Any, flat: Array) -> None:
        base = self._base_named(tables, flat.dtype, flat.size)
        self.decompress(payload, base, flat)

    @abstractmethod
    def compress(self, flat: Array, base: Array) -> bytes:
        """Return the payload of a flat array, never empty, given one of its dtype and size."""

    @abstractmethod
    def decompress(self, payload: Any, base: Array, flat: Array) -> None:
        """Fill `flat` with what `compress` was given. Raises CorruptStream.

        It must not allocate much more for a payload that holds more than `flat` does.
        """
