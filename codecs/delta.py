"""Tensors that differ little from a base: checkpoints of one run, fine-tunes, pruned models.

Each chunk is coded in the way that takes least, as a sample of it shows: the same as the base; by
itself; as the exclusive or of the bits; as the difference of the bit patterns in the order of the
floats; as that difference in groups by the base's exponent; or by itself as floats that were
integers, as a base has nothing to say of what was quantized. But for the last two, what is left is
a tensor of the same size for any other codec.

An optimiser moves a weight by about its learning rate, large or small: counted in units of the last
place, the further the smaller the weight is. So the base's exponent says most of what there is to
know of a difference, and whether there is one at all (codecs/delta_groups.py).

    tables  16 bytes, the hash of the base (families/delta_codec.py)
    chunk   u32 CRC-32 of the values that it stands for
            u8 form: 0 same, 1 alone, 2 exclusive or, 3 difference, 4 groups, 5 were integers
            0: nothing; 4: delta_groups.py; 5: a stream of `palette`; others: the inner codec's
            stream of the values left
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from isal.isal_zlib import crc32

from slashbench.arrays import Array, Bytes, FloatBits
from slashbench.codecs import delta_groups
from slashbench.codecs.catalog import CODECS
from slashbench.codecs.families.base import TensorCodec
from slashbench.codecs.families.delta_codec import HASH_BYTES, DeltaCodec
from slashbench.codecs.kernels import deltas
from slashbench.codecs.palette import Palette
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.frame import CodedArray, Frame, Pieces
from slashbench.errors import CorruptStream, SlashbenchError

CHUNK = 1 << 20  # values, at most

FORMS = SAME, ALONE, XOR, DIFFERENCE, GROUPS, INTEGERS = range(6)

_HEAD = struct.Struct("<IB")
_SAMPLE = 8, 2048  # blocks and their length, by which an encoder chooses a form

_USUAL = {1: "rans", 2: "float-rans", 4: "float-rans", 8: "float-rans"}  # by bytes of a value
_AS_FLOATS = {2: "<f2", 4: "<f4", 8: "<f8"}
_TAKEN_AS = {  # domains of codecs that take a word of so many bytes
    1: {"integers"},
    2: {"integers", "floats"},
    4: {"integers", "floats"},
    8: {"floats"},
}


class Delta(DeltaCodec):
    """Code what differs from a base, without loss, in the form that a sample shows to be shortest.

    Parameters
    ----------
    coder : str
        The codec for what is left, by name and with its usual settings, of values that it takes.
        Empty: rANS in groups by the base's exponent; or `float-rans`, `palette`, and `rans` for
        values of a byte, where that is shorter.

    References
    ----------
    Exclusive or of checkpoints: ZipNN, arXiv:2411.05239, 2024, section 5. Differences in the order
    of floats: P. Lindstrom & M. Isenburg, "Fast and efficient compression of floating-point data",
    IEEE TVCG 12(5), 2006.
    """

    codec_id: ClassVar[str] = "slashbench.delta"
    revision: ClassVar[int] = 2

    def __init__(self, coder: str = "") -> None:
        self.coder = coder
        if coder:
            self._inner(4)

    def _encode(self, flat: Array) -> CodedArray:
        base = self._base_for(flat.dtype, flat.size)
        n = max(1, -(-flat.size // CHUNK))
        chunk = -(-flat.size // n)
        pieces = [
            self._encode_chunk(flat[i : i + chunk], base[i : i + chunk])
            for i in range(0, flat.size, chunk)
        ]
        return CodedArray(self._hash, pieces, chunk)

    def _encode_chunk(self, flat: Array, base: Array) -> Pieces:
        words, old = _words(flat), _words(base)
        checksum = crc32(flat.view(np.uint8))
        if np.array_equal(words, old):
            return (_HEAD.pack(checksum, SAME),)
        sizes = self._sizes((ALONE, XOR, DIFFERENCE), words, old)
        if not self.coder and frame.domain_of(flat.dtype) == "floats" and Palette.suits(flat):
            pieces = Palette().pieces(flat)
            sizes[INTEGERS] = 8 * sum(map(len, pieces))
        if not self.coder and words.itemsize <= 4:
            plan = delta_groups.plan(words, old, flat.dtype)
            if plan.bits < min(sizes.values()):
                groups = delta_groups.encode(words, old, flat.dtype, plan)
                return (_HEAD.pack(checksum, GROUPS), *groups)
        form = min(sizes, key=lambda form: sizes[form])
        if form == INTEGERS:
            return (_HEAD.pack(checksum, INTEGERS), *pieces)
        return (_HEAD.pack(checksum, form), *self._left_over(form, words, old))

    def _sizes(self, forms: Sequence[int], words: FloatBits, old: FloatBits) -> dict[int, float]:
        """Return the bits that each form would take, as a sample of the chunk shows."""
        part, before = delta_groups.sampled(words, old, *_SAMPLE)
        times = 8 * words.size / part.size
        return {form: times * sum(map(len, self._left_over(form, part, before))) for form in forms}

    def _left_over(self, form: int, words: FloatBits, old: FloatBits) -> list[Any]:
        left = words
        if form == XOR:
            left = words ^ old
        elif form == DIFFERENCE:
            left = np.empty_like(words)
            deltas.subtract(words, old, left)
        codec = self._inner(words.itemsize)
        return codec.pieces(left.view(_seen_as(codec, words.itemsize)))

    def _decode(self, parts: Frame, first: int, last: int, flat: Array) -> None:
        if parts.version == 1:
            raise CorruptStream(f"{self.codec_id} never wrote streams of version 1")
        if len(parts.tables) != HASH_BYTES:
            raise CorruptStream("the hash of the base is cut off")
        base = self._base_named(parts.tables, parts.dtype, parts.count)
        for index in range(first, last):
            begin, end = index * parts.chunk, min((index + 1) * parts.chunk, parts.count)
            at = begin - first * parts.chunk
            out = flat[at : at + end - begin]
            self._decode_chunk(parts, index, base[begin:end], out)

    def _decode_chunk(self, parts: Frame, index: int, base: Array, flat: Array) -> None:
        payload: Bytes = parts.payload(index)
        if payload.size < _HEAD.size:
            raise CorruptStream("a chunk is cut off")
        checksum, form = _HEAD.unpack_from(payload.data)
        body = payload[_HEAD.size :]
        words, old = _words(flat), _words(base)
        if form not in FORMS or (form == SAME and body.size):
            raise CorruptStream(f"a chunk of the unknown form {form}")
        if form == SAME:
            words[:] = old
        elif form == GROUPS:
            if words.itemsize > 4:
                raise CorruptStream("values of eight bytes in groups")
            begin = int(parts.begins[index]) + _HEAD.size
            delta_groups.decode(parts, begin, int(parts.ends[index]), old, flat.dtype, words)
        else:
            codec = Palette() if form == INTEGERS else self._inner(words.itemsize)
            seen = flat if form == INTEGERS else words.view(_seen_as(codec, words.itemsize))
            inner = frame.unpack(body)
            if inner.dtype != seen.dtype or inner.shape != seen.shape:
                raise CorruptStream("the stream in a chunk is of another shape or type")
            codec.decode(inner, out=seen)
            if form == XOR:
                np.bitwise_xor(words, old, out=words)
            elif form == DIFFERENCE:
                deltas.add(words, old, words)
        if crc32(flat.view(np.uint8)) != checksum:
            raise CorruptStream("what was rebuilt is not what was coded")

    def _inner(self, itemsize: int) -> TensorCodec:
        name = self.coder or _USUAL[itemsize]
        try:
            found: TensorCodec = CODECS.get(name)()
        except SlashbenchError as error:
            raise ValueError(f"coder={name!r}: {error}") from error
        if not found.domains & _TAKEN_AS[itemsize]:
            found = CODECS.get(_USUAL[itemsize])()
        return found


def _words(flat: Array) -> FloatBits:
    return flat.view(f"u{flat.itemsize}")


def _seen_as(codec: TensorCodec, itemsize: int) -> str:
    """Return the type under which a codec is given words: it must take one of that width."""
    if "integers" in codec.domains and itemsize <= 4:
        return f"<i{itemsize}"
    return _AS_FLOATS.get(itemsize, f"<i{itemsize}")
