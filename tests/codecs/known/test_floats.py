"""Float streams taken apart and put together as FORMAT.md tells, in plain Python."""

import struct

import ml_dtypes
import numpy as np
import pytest

from slashbench.codecs.floats import FloatHuffman, FloatRans
from slashbench.codecs.huffman import Huffman
from slashbench.codecs.rans import Rans
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.table_bytes import Reader

CODERS = {FloatHuffman: Huffman, FloatRans: Rans}
RAW, CODED, PAIRS, PATCHED = range(4)


def weights(count, dtype):
    """Bell-shaped, with a few that lie far outside the usual exponents."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.02, count)
    values[::997] = [[0.0, -0.0, 1e30, np.inf, np.nan][i % 5] for i in range(len(values[::997]))]
    with np.errstate(over="ignore"):
        return values.astype(dtype)


def exceptions_of(data, count):
    """({position: byte}, bytes read)."""
    steps, at = frame.read_varint(data, 0)
    gaps = struct.unpack_from(f"<{steps}H", data, at)
    places, reached = [], 0
    for gap in gaps:
        reached += gap
        if gap != 0xFFFF:
            places.append(reached)
            reached += 1
    assert reached <= count
    at += 2 * steps
    return dict(zip(places, data[at:], strict=False)), at + len(places)


def symbols_of(coder, tables, data, count):
    """What `huffman` or `rans` holds in one chunk: bytes."""
    begins, ends = np.array([0]), np.array([len(data)])
    stream = np.frombuffer(data, np.uint8)
    shape, width = (count,), np.dtype("i1")
    inner = frame.Frame(2, width, shape, count, count, tables, stream, begins, ends, (0,))
    out = np.empty(count, np.int8)
    coder().decode_chunks(Reader(tables), inner, 0, 1, out)
    return out.view(np.uint8).tolist()


def planes_of(codec, stream, index):
    """The planes of a chunk as lists of bytes, the highest first."""
    parts = frame.unpack(stream)
    reader, heads = Reader(parts.tables), []
    for _ in range(parts.dtype.itemsize):
        form = reader.byte()
        low = reader.byte() if form >= PAIRS else 0
        size = reader.varint(1 << 20) if form != RAW else 0
        heads.append((form, low, reader.array(np.dtype("u1"), size).tobytes()))
    reader.end()
    count = parts.values_in(index, index + 1)
    payload = parts.payload(index).tobytes()
    coded = sum(form != RAW for form, _, _ in heads)
    sizes = iter(struct.unpack_from(f"<{coded}I", payload))
    at = 4 * coded
    for form, low, tables in heads:
        size = count if form == RAW else next(sizes)
        data = payload[at : at + size]
        at += size
        if form == RAW:
            yield form, list(data)
        elif form == CODED:
            yield form, symbols_of(CODERS[codec], tables, data, count)
        else:
            patches, used = exceptions_of(data, count) if form == PATCHED else ({}, 0)
            half = (count + 1) // 2
            pairs = symbols_of(CODERS[codec], tables, data[used:], half)
            values = [pair % 16 + low for pair in pairs] + [pair // 16 + low for pair in pairs]
            yield form, [patches.get(i, value & 255) for i, value in enumerate(values[:count])]
    assert at == len(payload)


@pytest.mark.parametrize("codec", CODERS)
@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float32, np.float64])
def test_planes_are_what_the_format_says(codec, dtype):
    tensor = weights(40_001, dtype)
    stream = codec().encode(tensor)
    bits = 8 * tensor.itemsize
    forms, planes = zip(*planes_of(codec, stream, 0), strict=True)
    # float16 has bits of the mantissa beside its exponent: too many values to be paired
    assert forms[0] == (CODED if dtype == np.float16 else PATCHED)
    words = []
    for bytes_ in zip(*planes, strict=True):
        rotated = int.from_bytes(bytes(bytes_), "big")
        words.append(rotated >> 1 | (rotated & 1) << (bits - 1))
    assert words == tensor.view(f"u{tensor.itemsize}").tolist()
    assert codec().decode(stream).tobytes() == tensor.tobytes()
