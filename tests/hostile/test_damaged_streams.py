"""Streams nobody wrote: cut off, flipped, forged. The answer is CorruptStream, or a tensor."""

import contextlib
import struct
import time
import zlib

import numpy as np
import pytest
import zstandard

from slashbench.codecs import frame
from slashbench.codecs.base import Bound
from slashbench.codecs.catalog import CODECS
from slashbench.codecs.constriction_words import refusals
from slashbench.codecs.tables import integer_list
from slashbench.errors import CorruptStream

NAMES = [name for name in CODECS.available() if not issubclass(CODECS.get(name), Bound)]
CODERS = {name: CODECS.get(name)() for name in NAMES} | {
    "exp-golomb-rank": CODECS.get("exp-golomb")(k=0, map="rank"),
    "huffman-4": CODECS.get("huffman")(max_length=4),
    "huffman-32": CODECS.get("huffman")(max_length=32),
}
every_codec = pytest.mark.parametrize("codec", CODERS.values(), ids=CODERS)


def bell(n, seed=0):
    return np.rint(np.random.default_rng(seed).laplace(0, 3, n)).astype(np.int32)


def tensors(codec):
    """One tensor for each path a codec has."""
    skewed = np.repeat(np.arange(24), 2 ** np.minimum(np.arange(24), 9)).astype(np.int16)
    outliers = bell(500)
    outliers[[3, 99]] = 2**31 - 1, -(2**31)
    yield bell(640).reshape(16, 40)
    yield outliers
    yield skewed  # codewords beyond the first table
    yield (np.arange(4500) * 1009).astype(np.int32)  # over 4096 values: some escape
    yield np.full((2, 3), 7, np.int8)
    yield np.zeros((0, 5), np.int32)
    yield bell(100).astype(np.int8)
    yield bell(100).astype(np.int16) * np.int16(300)
    if "floats" in codec.domains:
        yield bell(100).astype(np.float32) / 7


def mutated(rng, data):
    """The bytes with a few flips, cuts, insertions or lies."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(0, len(out) + 1))
        match rng.integers(0, 6):
            case 0 if out:
                out[place % len(out)] ^= 1 << int(rng.integers(0, 8))
            case 1 if out:
                out[place % len(out)] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)]))
            case 2:
                del out[place : place + int(rng.integers(1, 9))]
            case 3:
                out[place:place] = rng.bytes(int(rng.integers(1, 9)))
            case 4:
                out[place:] = bytes([int(rng.choice([0, 0xFF]))]) * (len(out) - place)
            case 5:
                out[place:] = rng.bytes(len(out) - place)
    return bytes(out)


def assault(codec, rng, rounds):
    """Decode forged streams whose frame is intact. Returns (refused, accepted)."""
    originals = [(frame.unpack(codec.encode(array)), array) for array in tensors(codec)]
    dtypes = [np.dtype(name) for name in ("i1", "i2", "i4", "u1", "u2", "u4", "f2", "f4", "f8")]
    refused = 0
    for _ in range(rounds):
        parts, array = originals[rng.integers(len(originals))]
        tables, payload, shape, dtype = parts.tables, parts.payload, parts.shape, parts.dtype
        aim = rng.integers(0, 10)
        if aim < 6:
            tables = mutated(rng, tables)
        if aim in (5, 6, 7, 8):
            payload = mutated(rng, payload)
        if aim == 8:
            shape = (int(array.size + rng.integers(-3, 100_000)),) if array.size > 3 else (1,)
        if aim == 9:
            dtype = dtypes[rng.integers(len(dtypes))]
        stream = frame.pack(dtype, shape, tables, payload)
        try:
            decoded = codec.decode(stream)
        except CorruptStream:
            refused += 1
        else:
            assert decoded.shape == shape
            assert decoded.dtype == dtype
    return refused, rounds - refused


@every_codec
def test_every_prefix_is_refused(codec):
    for array in tensors(codec):
        stream = codec.encode(array)
        for size in range(0, len(stream), max(1, len(stream) // 500)):
            with pytest.raises(CorruptStream):
                codec.decode(stream[:size])
        with pytest.raises(CorruptStream):
            codec.decode(stream + b"\0")


@every_codec
def test_every_flipped_bit_is_refused(codec):
    stream = codec.encode(bell(200))
    for place in range(8 * len(stream)):
        flipped = bytearray(stream)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(CorruptStream):
            codec.decode(bytes(flipped))


@every_codec
def test_forged_streams_are_refused_or_decode_to_what_they_declare(codec):
    refused, accepted = assault(codec, np.random.default_rng(11), 2000)
    assert refused > accepted


@every_codec
def test_intact_frame_around_cut_tables(codec):
    parts = frame.unpack(codec.encode(bell(400)))
    for size in range(len(parts.tables)):
        with pytest.raises(CorruptStream):
            codec.decode(frame.pack(parts.dtype, parts.shape, parts.tables[:size], parts.payload))


@pytest.mark.parametrize("name", sorted(CODERS.keys() - {"range"}))
def test_intact_frame_around_a_cut_payload(name):
    # Not asked of the range coder: any words are some message, and past the last come zeros. The
    # frame's checksum is what guards it.
    parts = frame.unpack(CODERS[name].encode(bell(400)))
    for size in range(len(parts.payload)):
        stream = frame.pack(parts.dtype, parts.shape, parts.tables, parts.payload[:size])
        with pytest.raises(CorruptStream):
            CODERS[name].decode(stream)


@every_codec
def test_random_bytes(codec):
    rng = np.random.default_rng(12)
    for size in range(200):
        with pytest.raises(CorruptStream):
            codec.decode(rng.bytes(size))


@every_codec
def test_an_empty_tensor_has_neither_tables_nor_payload(codec):
    for tables, payload in [(b"\0", b""), (b"", b"\0")]:
        with pytest.raises(CorruptStream, match="empty tensor"):
            codec.decode(frame.pack(np.dtype("i4"), (0, 3), tables, payload))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"zstd"}))
def test_a_dtype_the_codec_never_writes_is_refused(name):
    parts = frame.unpack(CODERS[name].encode(bell(9)))
    with pytest.raises(CorruptStream, match="never writes float32"):
        CODERS[name].decode(frame.pack(np.dtype("f4"), (9,), parts.tables, parts.payload))


@every_codec
def test_values_must_fit_the_declared_dtype(codec):
    parts = frame.unpack(codec.encode(np.array([0, 1, 700, 1], np.int32)))
    with pytest.raises(CorruptStream, match="does not fit the declared int8"):
        codec.decode(frame.pack(np.dtype("i1"), (4,), parts.tables, parts.payload))


# Claims of size


@every_codec
def test_a_stream_may_not_declare_more_than_the_limit(codec):
    stream = codec.encode(np.zeros((100, 100), np.int32))
    token = frame.decode_limit.set(39_999)
    try:
        with pytest.raises(CorruptStream, match="declares 40000 bytes, over the limit of 39999"):
            codec.decode(stream)
        frame.decode_limit.set(40_000)
        assert codec.decode(stream).shape == (100, 100)
    finally:
        frame.decode_limit.reset(token)


@every_codec
@pytest.mark.parametrize(
    "shape",
    [(2**62,), (2**40, 2**40), (0, 2**62), (0, 2**40, 2**40), (2**31,) * 32],
    ids=str,
)
def test_impossible_shapes_are_refused(codec, shape):
    parts = frame.unpack(codec.encode(bell(20)))
    for tables, payload in [(parts.tables, parts.payload), (b"", b"")]:
        with pytest.raises(CorruptStream):
            codec.decode(frame.pack(np.dtype("i4"), shape, tables, payload))


@every_codec
def test_far_more_symbols_than_the_payload_holds_are_refused_at_once(codec):
    parts = frame.unpack(codec.encode(bell(640)))
    started = time.perf_counter()
    with pytest.raises(CorruptStream):
        codec.decode(frame.pack(np.dtype("i1"), (2**33,), parts.tables, parts.payload))
    assert time.perf_counter() - started < 0.5


def test_too_many_dimensions_and_later_versions_are_refused():
    body = bytes([1, 0, 33]) + bytes(33 + 2)
    stream = body + struct.pack("<I", zlib.crc32(body))
    with pytest.raises(CorruptStream, match="header is damaged"):
        frame.unpack(stream)
    with pytest.raises(CorruptStream, match="stream version 2; this slashbench reads version 1"):
        frame.unpack(bytes([2, 0, 0, 0, 0]) + bytes(4))


# zstd


def forged_zstd(payload, n):
    return frame.pack(np.dtype("i1"), (n,), bytes([0x00]), payload)


def test_zstd_bomb_is_refused_unopened():
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    assert len(bomb) < 1 << 15
    with pytest.raises(CorruptStream, match="declares 268435456 bytes, the tensor has 10"):
        CODERS["zstd"].decode(forged_zstd(bomb, 10))


def test_zstd_bomb_that_lies_about_its_size_is_refused():
    honest = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    size = honest.index(struct.pack("<I", 1 << 28))
    bomb = honest[:size] + struct.pack("<I", 10) + honest[size + 4 :]
    assert zstandard.get_frame_parameters(bomb).content_size == 10
    with pytest.raises(CorruptStream, match="the zstd frame is damaged"):
        CODERS["zstd"].decode(forged_zstd(bomb, 10))


def test_zstd_frame_without_a_size_is_refused():
    payload = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(10))
    with pytest.raises(CorruptStream):
        CODERS["zstd"].decode(forged_zstd(payload, 10))


def test_zstd_of_symbols_wider_than_any_is_refused():
    tables = bytes([0x24, 0, 255])  # fixed length, smallest 0, 255 bits
    payload = zstandard.ZstdCompressor().compress(bytes(319))
    with pytest.raises(CorruptStream, match="symbols of 255 bits"):
        CODERS["zstd"].decode(frame.pack(np.dtype("i1"), (10,), tables, payload))


def test_zstd_frame_after_frame_is_refused():
    payload = zstandard.ZstdCompressor().compress(bytes(10))
    with pytest.raises(CorruptStream):
        CODERS["zstd"].decode(forged_zstd(payload + payload, 10))


# The table-driven coders


@pytest.mark.parametrize("name", ["range", "ans"])
@pytest.mark.parametrize("words", [b"", bytes(4), bytes(8), b"\xff" * 400, b"\xff" * 3])
def test_forged_words(name, words):
    alphabet = bytes([2 << 1]) + integer_list(np.array([0, 0], np.uint32))
    frequencies = integer_list(np.array([0, 40_000], np.uint32))
    stream = frame.pack(np.dtype("i4"), (1000,), alphabet + frequencies, words)
    with contextlib.suppress(CorruptStream):
        assert CODERS[name].decode(stream).shape == (1000,)


def test_a_rust_panic_becomes_corrupt_stream():
    # PyO3's class can't be imported; it is known by its name and derives from BaseException.
    panic = type("PanicException", (BaseException,), {})
    with pytest.raises(CorruptStream, match="index out of bounds"), refusals():
        raise panic("index out of bounds")
    with pytest.raises(KeyboardInterrupt), refusals():
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["range", "ans"])
def test_frequencies_over_the_total_are_refused(name):
    alphabet = bytes([2 << 1]) + integer_list(np.array([0, 0], np.uint32))
    frequencies = integer_list(np.array([2**32 - 1, 2**32 - 1], np.uint32))
    stream = frame.pack(np.dtype("i4"), (4,), alphabet + frequencies, bytes(8))
    with pytest.raises(CorruptStream, match="frequencies sum to 8589934592, over 65536"):
        CODERS[name].decode(stream)


@pytest.mark.parametrize("name", ["huffman", "range", "ans"])
@pytest.mark.parametrize(
    ("alphabet", "message"),
    [
        (bytes([0]), "the alphabet is empty"),
        (frame.varint(4097 << 1), "over its limit"),
        (bytes([5 << 1]) + integer_list(np.zeros(5, np.uint32)), "5 distinct values among 4"),
        (bytes([2 << 1]) + integer_list(np.array([2**32 - 2, 0], np.uint32)), "beyond int32"),
        (bytes([1 << 1]) + integer_list(np.zeros(1, np.uint32)) + b"\0", "too many in the tables"),
    ],
)
def test_alphabets_no_encoder_writes(name, alphabet, message):
    with pytest.raises(CorruptStream, match=message):
        CODERS[name].decode(frame.pack(np.dtype("i4"), (4,), alphabet, b""))


@pytest.mark.parametrize("name", ["huffman", "range", "ans"])
def test_a_constant_tensor_with_codewords_is_refused(name):
    alphabet = bytes([1 << 1]) + integer_list(np.zeros(1, np.uint32))
    with pytest.raises(CorruptStream, match="one symbol has codewords"):
        CODERS[name].decode(frame.pack(np.dtype("i4"), (4,), alphabet, bytes(4)))
