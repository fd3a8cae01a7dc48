"""Floats that were integers with a scale, or a scale and an offset, for each group: a form of
`palette`.

A group is a run of values, or a row of them. Value i of integer k is k s, or k s + z, in the
arithmetic of float32, rounded to the tensor's type; s and z are those of group floor(i / G). What
is not so rebuilt to the last bit is an exception.

    tables  u8 rule: 0 k s; 1 (k s) + z, each rounded to float32; 2 k s + z in float64, rounded to
            float32 once; plus 4 if chunks begin with exceptions (exceptions.py)
            varint G
            varint zigzag(lowest integer)
            u8 bytes of a symbol, 1 or 2
            varint n, n bytes: the scales, float32; a stream of `float-rans`, or four bytes each if
            n is as much
            unless the rule is 0: the same of the offsets
            tables of `rans` without the width
    chunk   of `rans`: symbols, unsigned: 0 is -0.0, any other the integer, plus 1, less the lowest
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from slashbench.arrays import Array, Float32s, Integers
from slashbench.codecs.floats import FloatRans
from slashbench.codecs.kernels import affine
from slashbench.codecs.kernels.affine import NO_FIT, PRODUCT, RULES
from slashbench.codecs.rans import Rans
from slashbench.codecs.stream import exceptions, frame
from slashbench.codecs.stream.frame import CodedArray, Frame
from slashbench.codecs.stream.mapping import unzigzag_of, zigzag_of
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream

#: Runs of so many values are tried as groups, beside rows; the largest that fits is taken.
GROUPS = (512, 256, 128, 64, 32, 16)

#: (binary digits, least exponent) of each type; float64 is not coded so.
_TYPES = {
    np.dtype(np.float32): (24, -126),
    np.dtype(np.float16): (11, -14),
    np.dtype(ml_dtypes.bfloat16): (8, -126),
}
_MOST = 1 << 14  # values of a group
_RUN, _RUNS = 32, 64  # values looked at together, and how often, to see whether it pays to go on
_SAMPLE = 16  # groups by which size and rule are chosen
_MANY = 0.75  # of them must fit
_FEW = 1 / 3  # exceptions, at most
_PATCHED = 4
_WIDEST = 2 * affine.MOST_STEPS


@dataclass(frozen=True, slots=True)
class _Groups:
    """How a tensor is made of integers."""

    group: int
    rule: int
    scales: Float32s
    offsets: Float32s
    integers: Integers  # int16; NO_FIT where there is none


def seem_likely(flat: Array) -> bool:
    """Return whether short runs of the values lie on grids of a few steps each."""
    kind = _TYPES.get(flat.dtype)
    if kind is None or flat.size < 4 * _RUN:
        return False
    every = max(1, flat.size // _RUNS // _RUN) * _RUN
    runs = flat[: flat.size // every * every].reshape(-1, every)[:, :_RUN]
    return (
        affine.look(_as_float32(np.ascontiguousarray(runs).reshape(-1)), _RUN, _RUN, *kind) >= _MANY
    )


def encode(array: Array) -> CodedArray | None:
    """Return the tables and chunks of an array, never empty; None if it is not made so."""
    flat = array.reshape(-1)
    if not seem_likely(flat):
        return None
    found = _found(flat, array.shape[-1] if array.ndim > 1 else 0)
    if found is None:
        return None
    words = flat.view(f"u{flat.itemsize}")
    negative_zero = words == 1 << 8 * flat.itemsize - 1
    fits = found.integers != NO_FIT
    if not fits.any():
        return None
    lowest, highest = (int(f(found.integers[fits])) for f in (np.min, np.max))
    if highest - lowest > _WIDEST:
        return None
    kind = np.dtype(np.uint8 if highest - lowest < 255 else np.uint16)
    symbols = (found.integers.astype(np.int32) + (1 - lowest)).astype(kind)
    symbols[negative_zero] = 0
    symbols[~fits & ~negative_zero] = 1
    made = _rebuilt(symbols, 0, found, lowest, flat.dtype)
    wrong = np.flatnonzero(made.view(words.dtype) != words)
    if wrong.size > _FEW * words.size:
        return None
    symbols[wrong] = np.bincount(symbols, minlength=2).argmax()
    chunk = frame.chunk_for(words.size)
    tables, chunks = Rans().encode_chunks(symbols.view(f"i{kind.itemsize}"), chunk)
    head = bytes([found.rule | _PATCHED * bool(wrong.size)])
    head += frame.varint(found.group) + frame.varint(zigzag_of(lowest)) + bytes([kind.itemsize])
    for numbers in (found.scales, found.offsets)[: 1 if found.rule == PRODUCT else 2]:
        stream = FloatRans().encode(numbers)
        if len(stream) >= numbers.nbytes:
            stream = numbers.astype("<f4").tobytes()
        head += frame.varint(len(stream)) + stream
    if wrong.size:
        chunks = exceptions.before(exceptions.by_chunk(wrong, words, chunk), chunks)
    return CodedArray(head + tables, chunks, chunk)


def decode(reader: Reader, parts: Frame, first: int, last: int, flat: Array) -> None:
    """Write the values of chunks `first` to `last` - 1. reader: what follows the form."""
    if flat.dtype not in _TYPES:
        raise CorruptStream(f"groups with a scale in {flat.dtype}")
    rule = reader.byte()
    patched, rule = bool(rule & _PATCHED), rule & ~_PATCHED
    if rule not in RULES:
        raise CorruptStream(f"the unknown rule {rule} of how floats are rebuilt")
    group = reader.varint(_MOST)
    if not group:
        raise CorruptStream("groups of no values")
    lowest = unzigzag_of(reader.varint(1 << 17))
    width = reader.byte()
    if width not in (1, 2):
        raise CorruptStream(f"symbols of {width} bytes")
    n_groups = -(-parts.count // group)
    scales = _numbers(reader, n_groups)
    offsets = scales if rule == PRODUCT else _numbers(reader, n_groups)
    begins, ends = parts.begins, parts.ends
    inner = parts
    if patched:
        after = begins.copy()
        after[first:last] = exceptions.skip(
            parts.data, begins[first:last], ends[first:last], flat.itemsize
        )
        inner = parts.within(parts.tables, after, ends)
    symbols = np.empty(flat.size, f"i{width}")
    Rans().decode_chunks(reader, inner, first, last, symbols)
    found = _Groups(group, rule, scales, offsets, symbols)
    flat[:] = _rebuilt(symbols.view(f"u{width}"), first * parts.chunk, found, lowest, flat.dtype)
    if patched:
        chunk = min(parts.chunk, parts.count)
        words = flat.view(f"u{flat.itemsize}")
        exceptions.put(parts.data, begins[first:last], ends[first:last], chunk, words)


def _numbers(reader: Reader, count: int) -> Float32s:
    """Read as many float32."""
    size = reader.varint(1 << 40)
    if size == 4 * count:
        return reader.array(np.dtype("<f4"), count).astype(np.float32)
    parts = frame.unpack(reader.take(size))
    if parts.dtype != np.float32 or parts.shape != (count,):
        raise CorruptStream("the scales of groups are not as many as there are groups")
    found: Float32s = FloatRans().decode(parts)
    return found


def _found(flat: Array, row: int) -> _Groups | None:
    """Return the groups of the largest size that fits, by the first rule that does."""
    kind, wide = _TYPES[flat.dtype], _as_float32(flat)
    sizes = [size for size in (row, *GROUPS) if 1 < size <= min(_MOST, flat.size // 2)]
    for group in sorted(set(sizes), reverse=True):
        n = flat.size // group
        picked = np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.int64)
        sample = np.ascontiguousarray(wide[: n * group].reshape(n, group)[picked]).reshape(-1)
        for rule in RULES:
            if _fitted(sample, group, rule, kind)[1] >= _MANY * picked.size:
                return _fitted(wide, group, rule, kind)[0]
    return None


def _fitted(wide: Float32s, group: int, rule: int, kind: tuple[int, int]) -> tuple[_Groups, int]:
    """Return the groups, and how many of them fit."""
    n = -(-wide.size // group)
    scales, offsets = np.empty(n, np.float32), np.empty(n, np.float32)
    integers = np.empty(wide.size, np.int16)
    fitting = affine.fit_groups(wide, group, rule, *kind, scales, offsets, integers)
    return _Groups(group, rule, scales, offsets, integers), fitting


def _rebuilt(symbols: Array, begin: int, made: _Groups, lowest: int, dtype: np.dtype[Any]) -> Array:
    """Return the floats of symbols from value `begin` of the tensor on."""
    wide = np.empty(symbols.size, np.float32)
    if not affine.rebuild(
        symbols, begin, made.group, lowest, made.rule, made.scales, made.offsets, wide
    ):
        raise CorruptStream("there are more values than groups")
    with np.errstate(over="ignore", invalid="ignore"):
        return wide.astype(dtype, copy=False)


def _as_float32(flat: Array) -> Float32s:
    return flat.astype(np.float32, copy=False)
