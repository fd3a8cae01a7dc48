"""Codewords and orders that can be checked on paper, and kernels against plain Python."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slashbench.codecs.elias import EliasDelta, EliasGamma
from slashbench.codecs.exp_golomb import ExpGolomb
from slashbench.codecs.families.frequency_codec import MAX_TOTAL, ideal_bits, quantize
from slashbench.codecs.golomb_rice import GolombRice
from slashbench.codecs.huffman import Huffman
from slashbench.codecs.kernels import fixed, golomb
from slashbench.codecs.modelling.alphabet import Alphabet, histogram, translate
from slashbench.codecs.modelling.prefix_code import canonical, package_merge
from slashbench.codecs.pack import Pack
from slashbench.codecs.rans import Rans
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.mapping import (
    by_rank,
    from_rank_table,
    rank_table,
    unzigzag,
    zigzag,
)
from slashbench.codecs.stream.table_bytes import Reader, integer_list
from slashbench.errors import CorruptStream

LARGEST = 2**32 - 1

uint32s = st.one_of(st.integers(0, 20), st.integers(0, LARGEST), st.integers(LARGEST - 3, LARGEST))


def plain_exp_golomb(value, k):
    """The definition: value + 2^k in binary, after a zero for each bit beyond k + 1."""
    binary = f"{value + 2**k:b}"
    return "0" * (len(binary) - 1 - k) + binary


def padded(bits):
    """A string of bits as the bytes a kernel writes."""
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def encode_golomb(values, k):
    values = np.array(values, np.uint32)
    return golomb.encode(values, k, int(golomb.lengths_by_order(values)[k]))


# Exp-Golomb


@pytest.mark.parametrize(
    ("k", "codewords"),
    [  # the paper's Table 2
        (0, ["1", "010", "011", "00100", "00101", "00110", "00111", "0001000"]),
        (1, ["10", "11", "0100", "0101", "0110", "0111", "001000", "001001"]),
        (2, ["100", "101", "110", "111", "01000", "01001", "01010", "01011"]),
        (3, ["1000", "1001", "1010", "1011", "1100", "1101", "1110", "1111", "010000"]),
    ],
)
def test_exp_golomb_codewords(k, codewords):
    for value, codeword in enumerate(codewords):
        assert encode_golomb([value], k) == padded(codeword)
    together = encode_golomb(range(len(codewords)), k)
    assert together == padded("".join(codewords))
    values, used = golomb.decode(together, len(codewords), k)
    assert values.tolist() == list(range(len(codewords)))
    assert used == len(together)


@pytest.mark.parametrize(
    ("value", "codeword"),
    [
        (2**32 - 1, "0" * 32 + "1" + "0" * 32),
        (2**32 - 2, "0" * 31 + "1" * 32),
        (2**32 - 3, "0" * 31 + "1" * 31 + "0"),
    ],
)
def test_three_largest_values(value, codeword):
    assert encode_golomb([value], 0) == padded(codeword)


@pytest.mark.parametrize("k", range(golomb.MAX_ORDER + 1))
def test_edges_of_every_order_against_plain_python(k):
    edges = {0, 1, LARGEST}
    edges |= {2**p + d for p in range(32) for d in (-1, 0, 1)}
    edges |= {2**p - 2**k + d for p in range(k, 33) for d in (-1, 0, 1)}
    values = sorted(value for value in edges if 0 <= value <= LARGEST)
    expected = "".join(plain_exp_golomb(value, k) for value in values)
    coded = encode_golomb(values, k)
    assert coded == padded(expected)
    assert golomb.decode(coded, len(values), k)[0].tolist() == values


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(uint32s, max_size=40), st.integers(0, golomb.MAX_ORDER))
def test_exp_golomb_against_plain_python(values, k):
    codewords = [plain_exp_golomb(value, k) for value in values]
    coded = encode_golomb(values, k)
    assert coded == padded("".join(codewords))
    assert golomb.decode(coded, len(values), k)[0].tolist() == values


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(uint32s, min_size=1, max_size=40))
def test_best_order_is_the_shortest(values):
    lengths = [
        sum(len(plain_exp_golomb(value, k)) for value in values)
        for k in range(golomb.MAX_ORDER + 1)
    ]
    assert golomb.best_order(np.array(values, np.uint32)) == (
        lengths.index(min(lengths)),
        min(lengths),
    )


@pytest.mark.parametrize(
    "bits",
    [
        "0" * 33 + "1" + "0" * 33,  # a 34-bit number
        "0" * 32 + "1" + "0" * 31 + "1",  # 2^32
        "0" * 40,
        "00001",  # cut off
        "1" + "1000000",  # a one bit in the padding
    ],
)
def test_exp_golomb_refuses_what_it_never_writes(bits):
    with pytest.raises(CorruptStream):
        values, used = golomb.decode(padded(bits), 1, 0)
        assert (values.size, used) == (1, 1)


def test_exp_golomb_refuses_more_codewords_than_bits():
    with pytest.raises(CorruptStream, match="can't hold"):
        golomb.decode(b"\xff" * 10, 10**15, 0)
    with pytest.raises(CorruptStream):
        golomb.decode(b"\xff" * 10, 1, golomb.MAX_ORDER + 1)


def test_exp_golomb_codec_by_hand():
    # the four symbols: 1 010 011 1; least significant bit first a suffix is turned around
    parts = frame.unpack(ExpGolomb(k=0).encode(np.array([0, -1, 1, 0], np.int8)))
    assert parts.tables == bytes([1, 0, 0])  # symbols of a byte, zig-zag, order 0
    assert bytes(parts.payload(0)) == backwards("1" + "010" + "011" + "1")
    # ranks: 7 three times, then -2 before 5 (smaller |v|): 1 1 1 010 011
    stream = ExpGolomb(k=0, map="rank").encode(np.array([7, 7, 7, -2, 5], np.int8))
    parts = frame.unpack(stream)
    assert bytes(parts.payload(0)) == backwards("111" + "010" + "011")
    # zig-zag 14, 3, 10; steps 14, -11, 7; zig-zag 28, 21, 14
    ranked = integer_list(np.array([28, 21, 14], np.uint32))
    assert parts.tables == bytes([1, 3]) + ranked + bytes([0])


def plain(codec, value):
    """The codeword of a number, first bit first, as a definition of its own."""
    if isinstance(codec, GolombRice):
        quotient, rest = value >> codec.k, value & ((1 << codec.k) - 1)
        if quotient >= 24:
            return "0" * 24 + f"{value:032b}"[::-1]
        return "0" * quotient + "1" + (f"{rest:0{codec.k}b}"[::-1] if codec.k else "")
    if isinstance(codec, EliasDelta):
        size = (value + 1).bit_length() - 1
        return plain(ExpGolomb(k=0), size) + low_bits(value + 1, size)
    k = codec.k if isinstance(codec, ExpGolomb) else 0
    above = (value >> k) + 1
    size = above.bit_length() - 1
    return "0" * size + "1" + low_bits(above, size) + low_bits(value, k)


def low_bits(value, n):
    """The n low bits, lowest first."""
    return f"{value % 2**n:0{n}b}"[::-1] if n else ""


@pytest.mark.parametrize(
    "codec",
    [
        ExpGolomb(k=0),
        ExpGolomb(k=3),
        ExpGolomb(k=30),
        GolombRice(k=0),
        GolombRice(k=5),
        GolombRice(k=30),
        EliasGamma(),
        EliasDelta(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_integer_codes_against_plain_python(codec, dtype):
    rng = np.random.default_rng(5)
    limits = np.iinfo(dtype)
    symbols = np.rint(rng.laplace(0, 9, 700)).clip(-99, 99).astype(dtype)
    symbols[:4] = limits.min, limits.max, limits.min + 1, 0
    for repeats in (1, 2):  # one stream, and four
        tensor = np.tile(symbols, repeats)
        words = [plain(codec, int(v)) for v in zigzag(tensor.astype(np.int32))]
        run = -(-tensor.size // 4) if tensor.size >= 1024 else tensor.size
        streams = [backwards("".join(words[i : i + run])) for i in range(0, tensor.size, run)]
        sizes = b"".join(len(part).to_bytes(4, "little") for part in streams[:-1])
        stream = codec.encode(tensor)
        assert bytes(frame.unpack(stream).payload(0)) == sizes + b"".join(streams)
        np.testing.assert_array_equal(codec.decode(stream), tensor)


# Maps


def test_zigzag_order():
    symbols = np.array([0, -1, 1, -2, 2, -3, 2**31 - 1, -(2**31)], np.int32)
    assert zigzag(symbols).tolist() == [0, 1, 2, 3, 4, 5, 2**32 - 2, 2**32 - 1]
    assert unzigzag(zigzag(symbols)).tolist() == symbols.tolist()


def test_rank_order():
    values = np.array([-4, -2, -1, 0, 1, 2, 9], np.int32)
    counts = np.array([1, 3, 3, 8, 3, 1, 20])
    #     most frequent first; of three with 3: -1 and 1 before -2, minus first; then 2, -4
    assert by_rank(values, counts).tolist() == [9, 0, -1, 1, -2, 2, -4]


@given(st.lists(st.integers(-(2**31), 2**31 - 1), unique=True, max_size=50))
@settings(deadline=None, derandomize=True)
def test_rank_table_comes_back(values):
    ranked = np.array(values, np.int32)
    assert from_rank_table(rank_table(ranked)).tolist() == values


# Fixed length


def test_fixed_length_by_hand():
    assert fixed.encode(np.array([5, 0, 7], np.uint32), 3) == padded("101000111")
    assert fixed.encode(np.array([1, 2], np.uint32), 0) == b""
    parts = frame.unpack(Pack().encode(np.array([-3, 4, 0], np.int8)))
    assert parts.tables == bytes(
        [1, 5, 3]
    )  # of one byte; the smallest is -3, zig-zag 5; 3 bits hold 0 to 7
    assert bytes(parts.payload(0)) == padded("000" + "111" + "011")


@pytest.mark.parametrize(("span", "bits"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8)])
def test_fixed_length_is_the_logarithm_of_the_range(span, bits):
    codec = Pack()
    stream = codec.encode(np.arange(span, dtype=np.int32).repeat(8) - 100)
    assert codec.ledger(stream)["payload"] == span * bits


@pytest.mark.parametrize("width", range(1, 33))
def test_every_width_against_plain_python(width):
    values = [2**width - 1, 0, 2 ** (width - 1), 1, 0x12345678 % 2**width]
    coded = fixed.encode(np.array(values, np.uint32), width)
    assert coded == padded("".join(f"{value:0{width}b}" for value in values))
    assert fixed.decode(coded, len(values), width).tolist() == values


# Prefix codes


def codewords(lengths):
    """The canonical codewords as strings, first bit first."""
    codes = zip(canonical(lengths), lengths, strict=True)
    return [f"{code:0{n}b}"[::-1] for code, n in codes]


def backwards(bits):
    """A string of bits as the bytes of a stream, least significant bit first."""
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))


def test_textbook_huffman_lengths():
    # CLRS, section 16.3: a 45, b 13, c 12, d 16, e 9, f 5 (thousands)
    lengths = package_merge(np.array([45, 13, 12, 16, 9, 5]), 15)
    assert lengths.tolist() == [1, 3, 3, 3, 4, 4]
    assert codewords(lengths) == ["0", "100", "101", "110", "1110", "1111"]


def test_package_merge_keeps_its_limit():
    counts = np.array([1, 1, 2, 3, 5, 8, 13, 21])  # Fibonacci: the deepest Huffman tree
    assert package_merge(counts, 15).tolist() == [7, 7, 6, 5, 4, 3, 2, 1]
    assert package_merge(counts, 4).tolist() == [4, 4, 4, 4, 3, 3, 2, 2]
    assert package_merge(counts, 3).tolist() == [3] * 8
    with pytest.raises(ValueError, match="at most 2 bits"):
        package_merge(counts, 2)


def test_ties_go_to_the_later_symbol():
    assert package_merge(np.array([1, 1, 1]), 15).tolist() == [2, 2, 1]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 50), min_size=2, max_size=7), st.integers(3, 5))
def test_package_merge_is_optimal(counts, limit):
    best = min(
        sum(c * n for c, n in zip(sorted(counts, reverse=True), lengths, strict=True))
        for lengths in itertools.combinations_with_replacement(range(1, limit + 1), len(counts))
        if sum(2.0**-n for n in lengths) == 1
    )
    lengths = package_merge(np.array(counts), limit)
    assert int((np.array(counts) * lengths).sum()) == best
    canonical(lengths)


@pytest.mark.parametrize("lengths", [[1], [1, 1, 1], [2, 2, 2], [0, 1], [1, 15], [3, -1]])
def test_incomplete_codes_are_refused(lengths):
    with pytest.raises(CorruptStream):
        canonical(np.array(lengths))


@pytest.mark.parametrize("limit", [4, 12, 13, 14])
@pytest.mark.parametrize("n", [500, 5000])
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_huffman_payload_against_plain_python(limit, n, dtype):
    # As long as allowed, if not so rare that they become exceptions: 2^-14.5 of all.
    values = np.arange(-limit, limit // 2 * 2 - limit + 1)
    share = 2.0 ** -np.minimum(np.arange(values.size) + 1, limit)
    symbols = np.random.default_rng(3).choice(values, n, p=share / share.sum()).astype(dtype)
    symbols[: values.size] = values
    symbols[-1] = values[0] if dtype == np.int8 else 300  # of two bytes
    stream = Huffman(max_length=limit).encode(symbols)
    found, counts = np.unique(symbols, return_counts=True)
    of = dict(zip(found.tolist(), codewords(package_merge(counts, limit)), strict=True))
    run = -(-n // 4) if n >= 1024 else n
    streams = [
        backwards("".join(of[v] for v in symbols[i : i + run].tolist())) for i in range(0, n, run)
    ]
    sizes = b"".join(len(part).to_bytes(4, "little") for part in streams[:3]) if n >= 1024 else b""
    assert stream.endswith(sizes + b"".join(streams))
    assert Huffman().ledger(stream)["payload"] == len(sizes) + sum(map(len, streams))
    np.testing.assert_array_equal(Huffman().decode(stream), symbols)


def test_huffman_codec_by_hand():
    # -1 once, 0 twice, 3 once: lengths 2, 1, 2; canonical codewords 10, 0, 11
    parts = frame.unpack(Huffman().encode(np.array([0, 3, 0, -1], np.int8)))
    assert bytes(parts.payload(0)) == backwards("0" + "11" + "0" + "10")
    width, dense, low, size = 1, 0, 1, 5  # the lowest is -1, zig-zag 1
    lengths = [0x12, 0x00, 0x02]  # 2, 1, 0, 0, 2 in four bits each
    assert parts.tables == bytes([width, dense, low, size, *lengths])


@pytest.mark.parametrize("dtype", [np.int8, np.int32])
def test_rare_values_are_exceptions(dtype):
    symbols = np.tile(np.array([0, 1, -1, 0], dtype), 40_000)
    symbols[[5, 77_777]] = 100, np.iinfo(dtype).min
    for codec in (Huffman(), Rans()):
        stream = codec.encode(symbols)
        np.testing.assert_array_equal(codec.decode(stream), symbols)
        assert len(stream) * 8 < 1.51 * symbols.size + 1000


# Alphabets, models and tables


def test_alphabet_keeps_the_most_frequent():
    symbols = np.repeat(np.array([5, -5, 1, 0, 1_000_000], np.int32), [2, 2, 7, 9, 1])
    alphabet, counts = Alphabet.choose(histogram(symbols), limit=3)
    assert alphabet.values.tolist() == [-5, 0, 1]  # of 5 and -5, the one first in zig-zag order
    assert alphabet.escape
    assert counts.tolist() == [2, 9, 7, 3]
    assert alphabet.places(np.array([1, 5, -5], np.int32)).tolist() == [2, 3, 0]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=60))
def test_alphabet_table_comes_back(symbols):
    alphabet, _ = Alphabet.choose(histogram(np.array(symbols, np.int32)), limit=20)
    again = Alphabet.read(Reader(alphabet.to_bytes()))
    assert again.values.tolist() == alphabet.values.tolist()
    assert again.escape == alphabet.escape


@pytest.mark.parametrize("span", [10, 2_000_000, 2**32])
def test_histogram_and_translation_on_both_paths(span):
    symbols = np.random.default_rng(5).integers(-span // 2, span // 2, 3000).astype(np.int32)
    values, counts = np.unique(symbols, return_counts=True)
    found = histogram(symbols)
    assert found.values.tolist() == values.tolist()
    assert found.counts.tolist() == counts.tolist()
    codes = np.arange(values.size, dtype=np.int32)
    assert values[translate(symbols, values, codes, -1)].tolist() == symbols.tolist()
    assert translate(values + np.int32(1), values[:1], codes[:1], -1)[0] == -1


@pytest.mark.parametrize("n", [100, 10_000, 30_000_000])
def test_frequencies_fit_and_lose_little(n):
    counts = np.maximum(1, n * 0.7 ** np.arange(40) * 0.3).astype(np.int64)
    frequencies = quantize(counts)
    assert frequencies.min() >= 1
    assert frequencies.sum() <= MAX_TOTAL
    exact = -(counts * np.log2(counts / counts.sum())).sum()
    assert ideal_bits(counts, frequencies) < exact * 1.02 + 8


def test_frequencies_of_a_full_alphabet():
    frequencies = quantize(np.full(4097, 10**9))
    assert len(set(frequencies.tolist())) == 1
    assert frequencies.sum() <= MAX_TOTAL


def test_reader_refuses_the_end():
    reader = Reader(b"\x05\x81")
    assert reader.byte() == 5
    with pytest.raises(CorruptStream, match="1 bytes too many"):
        reader.end()
    with pytest.raises(CorruptStream, match="cut off"):
        reader.varint(1000)
    assert reader.byte() == 0x81
    with pytest.raises(CorruptStream, match="cut off"):
        reader.byte()
    with pytest.raises(CorruptStream, match="over its limit of 4"):
        Reader(b"\x05").varint(4)
