"""Streams nobody wrote: cut off, flipped, forged. The answer is CorruptStream, or a tensor."""

import contextlib
import math
import struct
import zlib

import numpy as np
import pytest
import zstandard

from slashbench.bench.machine.heap import peak_rss_bytes
from slashbench.codecs.base import Bound
from slashbench.codecs.catalog import CODECS
from slashbench.codecs.families.constriction_adapter import refusals
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.table_bytes import integer_list
from slashbench.errors import CorruptStream
from tests.helpers import stream_mutator
from tests.helpers.stream_mutator import bell, tensors

NAMES = [
    name
    for name in CODECS.available()
    if not issubclass(CODECS.get(name), Bound) and not CODECS.get(name).trusts_input
]
CODERS = {name: CODECS.get(name)() for name in NAMES} | {
    "exp-golomb-rank": CODECS.get("exp-golomb")(k=0, map="rank"),
    "huffman-4": CODECS.get("huffman")(max_length=4),
    "huffman-14": CODECS.get("huffman")(max_length=14),
}
OF_INTEGERS = {name: codec for name, codec in CODERS.items() if "integers" in codec.domains}
every_codec = pytest.mark.parametrize("codec", CODERS.values(), ids=CODERS)
of_integers = pytest.mark.parametrize("codec", OF_INTEGERS.values(), ids=OF_INTEGERS)


def some(codec, n):
    """A tensor of n values that the codec takes."""
    return bell(n) if "integers" in codec.domains else bell(n).astype(np.float32)


def pack(dtype, shape, tables, payload):
    """A stream of one chunk, whose checksums are right."""
    count = math.prod(shape)
    return frame.pack(dtype, shape, frame.CodedArray(tables, [(payload,)], count))


def opened(stream):
    """(frame, payload of its only chunk)."""
    parts = frame.unpack(stream)
    return parts, b"".join(parts.payload(i).tobytes() for i in range(parts.chunks))


@every_codec
def test_every_prefix_is_refused(codec):
    for array in [*tensors(codec.domains), some(codec, 0).reshape(0, 5)]:
        stream = codec.encode(array)
        for size in range(0, len(stream), max(1, len(stream) // 500)):
            with pytest.raises(CorruptStream):
                codec.decode(stream[:size])
        with pytest.raises(CorruptStream):
            codec.decode(stream + b"\0")


@pytest.mark.parametrize("count", [100, pytest.param(500, marks=pytest.mark.thorough)])
@every_codec
def test_forged_streams_are_refused_or_decode_to_what_they_declare(codec, count):
    """The first inputs of the campaign; tests/fuzz/campaign.py runs as many as one likes."""
    originals = stream_mutator.seeds(codec)
    rng = np.random.default_rng(11)
    token = frame.decode_limit.set(1 << 22)
    try:
        streams = [stream_mutator.mutant(rng, originals) for _ in range(count)]
        accepted = sum(stream_mutator.decode_twice(codec, stream) for stream in streams)
    finally:
        frame.decode_limit.reset(token)
    assert accepted < count / 2


@every_codec
def test_intact_frame_around_cut_tables(codec):
    parts, payload = opened(codec.encode(some(codec, 400)))
    for size in range(len(parts.tables)):
        with pytest.raises(CorruptStream):
            codec.decode(pack(parts.dtype, parts.shape, parts.tables[:size], payload))


@pytest.mark.parametrize("name", sorted(CODERS.keys() - {"range"}))
def test_intact_frame_around_a_cut_payload(name):
    # Not asked of the range coder: any words are some message, and past the last come zeros. The
    # frame's checksum is what guards it.
    parts, payload = opened(CODERS[name].encode(some(CODERS[name], 400)))
    for size in range(len(payload)):
        stream = pack(parts.dtype, parts.shape, parts.tables, payload[:size])
        with pytest.raises(CorruptStream):
            CODERS[name].decode(stream)


@every_codec
def test_random_bytes(codec):
    rng = np.random.default_rng(12)
    for size in range(200):
        with pytest.raises(CorruptStream):
            codec.decode(rng.bytes(size))


@every_codec
def test_an_empty_tensor_has_no_tables(codec):
    head = frame.MAGIC + bytes([2, 2, 2, 0, 3, 1])  # int32, 0 x 3, one byte of tables
    stream = head + struct.pack("<I", zlib.crc32(head + b"T")) + b"T"
    with pytest.raises(CorruptStream, match="empty tensor"):
        codec.decode(stream)


@pytest.mark.parametrize(
    "name", [name for name in OF_INTEGERS if "floats" not in CODERS[name].domains]
)
def test_a_dtype_the_codec_never_writes_is_refused(name):
    parts, payload = opened(CODERS[name].encode(bell(9)))
    with pytest.raises(CorruptStream, match="never writes float32"):
        CODERS[name].decode(pack(np.dtype("f4"), (9,), parts.tables, payload))


@of_integers
def test_values_must_fit_the_declared_dtype(codec):
    parts, payload = opened(codec.encode(np.array([0, 1, 700, 1], np.int32)))
    with pytest.raises(
        CorruptStream, match=r"does not fit|bytes in a tensor|holds \d+ bytes|not 4"
    ):
        codec.decode(pack(np.dtype("i1"), (4,), parts.tables, payload))


# Claims of size


@every_codec
@pytest.mark.parametrize(
    "shape",
    [(2**62,), (2**40, 2**40), (0, 2**62), (0, 2**40, 2**40), (2**31,) * 32],
    ids=str,
)
def test_impossible_shapes_are_refused(codec, shape):
    parts, whole = opened(codec.encode(some(codec, 20)))
    for tables, payload in [(parts.tables, whole), (b"", b"")]:
        with pytest.raises(CorruptStream):
            codec.decode(pack(np.dtype("i4"), shape, tables, payload))


@of_integers
def test_far_more_symbols_than_the_payload_holds_are_refused_before_any_is_written(codec):
    parts, payload = opened(codec.encode(bell(640)))
    stream = pack(np.dtype("i1"), (2**33,), parts.tables, payload)
    before = peak_rss_bytes()
    with pytest.raises(CorruptStream):
        codec.decode(stream)
    assert peak_rss_bytes() - before < 1 << 26  # 8 GiB are declared


def test_too_many_dimensions_and_later_versions_are_refused():
    body = frame.MAGIC + bytes([2, 0, 33]) + bytes(33 + 2)
    stream = body + struct.pack("<I", zlib.crc32(body))
    with pytest.raises(CorruptStream, match="header is damaged"):
        frame.unpack(stream)
    with pytest.raises(CorruptStream, match="stream version 3; this slashbench reads up to 2"):
        frame.unpack(frame.MAGIC + bytes([3, 0, 0, 0, 0]) + bytes(4))


def test_chunks_that_the_stream_can_not_hold_are_refused_at_once():
    head = frame.MAGIC + bytes([2, 0, 1]) + frame.varint(2**35) + frame.varint(1)
    with pytest.raises(CorruptStream, match="can't hold 34359738368 chunks"):
        frame.unpack(head + bytes(1000))


# zstd


def forged_zstd(payload, n):
    return pack(np.dtype("i1"), (n,), bytes([0x00]), payload)


def test_zstd_bomb_is_refused_unopened():
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    assert len(bomb) < 1 << 15
    with pytest.raises(CorruptStream, match="declares 268435456 bytes, not 10"):
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
        CODERS["zstd"].decode(pack(np.dtype("i1"), (10,), tables, payload))


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
    stream = pack(np.dtype("i4"), (1000,), alphabet + frequencies, words)
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
    stream = pack(np.dtype("i4"), (4,), alphabet + frequencies, bytes(8))
    with pytest.raises(CorruptStream, match="frequencies sum to 8589934592, over 65536"):
        CODERS[name].decode(stream)


@pytest.mark.parametrize("name", ["range", "ans"])
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
        CODERS[name].decode(pack(np.dtype("i4"), (4,), alphabet, b""))


@pytest.mark.parametrize("name", ["range", "ans"])
def test_a_constant_tensor_with_codewords_is_refused(name):
    alphabet = bytes([1 << 1]) + integer_list(np.zeros(1, np.uint32))
    with pytest.raises(CorruptStream, match="one symbol has codewords"):
        CODERS[name].decode(pack(np.dtype("i4"), (4,), alphabet, bytes(4)))
